"""Entry point of ``python -m litehrnet``, the same as the ``litehrnet`` command."""

import sys

from litehrnet.cli.main import main

sys.exit(main())
