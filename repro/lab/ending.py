"""How a command that people pipe and mistype ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def ended_well(work: Callable[[], None]) -> None:
    """Do a command's work: a ValueError is one line and exit code 2, a reader who has seen enough (`| head -1`) no
    error to speak of."""
    try:
        try:
            work()
        finally:
            sys.stdout.flush()
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
