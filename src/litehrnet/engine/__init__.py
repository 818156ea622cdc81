"""The engine's view of a network: a flat program of a few kinds of steps over planes in one arena; without torch."""
