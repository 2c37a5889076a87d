"""Run the command as a module: ``python -m serving_gateway``.

This module must run on Python 3.7, in order to say that the Python is too old.
"""

import sys

from orchestrator.interpreter import refusal

if __name__ == "__main__":
    reason = refusal(sys.platform, sys.version_info[:2], has_own=False)
    if reason:
        sys.stderr.write(reason + "\n")
        sys.exit(2)
    from serving_gateway.command_line import main

    sys.exit(main())
