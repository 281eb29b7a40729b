"""`python -m matgen`, for launchers such as `accelerate launch -m matgen`."""

import sys

from matgen.cli import main

sys.exit(main())
