"""`python -m pathfuse`: the console script, with the current folder on the path."""

import sys

from pathfuse.cli import main

sys.exit(main())
