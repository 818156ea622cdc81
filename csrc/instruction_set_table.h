// Names of the tables of one instruction set. LITEHRNET_SET is the name of the set.
#pragma once

#define LITEHRNET_TEXT_OF(name) #name
#define LITEHRNET_TEXT(name) LITEHRNET_TEXT_OF(name)
#define LITEHRNET_JOIN_OF(set, suffix) set##suffix
#define LITEHRNET_JOIN(set, suffix) LITEHRNET_JOIN_OF(set, suffix)
