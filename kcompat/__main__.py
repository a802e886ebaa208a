"""What `python -m kcompat` and the installed command `kcompat` run."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
