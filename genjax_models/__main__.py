"""`python -m genjax_models COMMAND` is the command `genjax-models COMMAND`."""

import sys

from genjax_models.commands import main

if __name__ == "__main__":
    sys.exit(main())
