"""`python -m elsface_lite` is the command `elsface-lite`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())
