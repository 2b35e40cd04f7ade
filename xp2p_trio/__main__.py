"""`python -m xp2p_trio`."""

import sys

from xp2p_trio.cli import main

if __name__ == "__main__":
    sys.exit(main())
