"""What a process is started in: standard streams and a current folder, either of which may be missing."""

import os
import sys
from pathlib import Path

from segrepro.errors import UserError


def open_standard_streams() -> None:
    """Open standard streams that the caller has closed (``2>&-``, some daemons) on nothing.

    Else the next file that is opened gets the number of standard error, and libraries write their warnings into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # worker processes have the same need
    os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def refuse_removed_folder() -> None:
    """Check that the current folder is still there.

    Raises:
        UserError: it was removed, or a part of its path was.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("the current folder was removed; change to one that is there (cd) and run again.") from None
