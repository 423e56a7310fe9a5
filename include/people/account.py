"""The account of the operating system behind a shell: what a declared name is held against."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_LOGIN = Path("/proc/self/loginuid")
# The kernel's word for a session that nobody has logged in to: a service, a container.
_UNSET = 2**32 - 1


def shell_account() -> str:
    """Return the account that logged in, which `su` and `sudo` do not change; where the kernel
    knows of no login, the account that the process runs under."""
    try:
        uid = int(_LOGIN.read_text(encoding="ascii"))
    except (OSError, ValueError):
        uid = _UNSET
    if uid == _UNSET:
        uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
