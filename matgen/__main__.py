"""`python -m matgen`, for launchers such as `accelerate launch -m matgen`."""

import sys

try:
    from matgen.cli import main

    status = main()
except KeyboardInterrupt:  # before or after the verb itself: its own are answered by `main`
    print("matgen: interrupted; nothing was written", file=sys.stderr)
    status = 130
sys.exit(status)
