"""Run the command as a module: ``python -m serving_gateway``."""

import sys

from serving_gateway.command_line import main

if __name__ == "__main__":
    sys.exit(main())
