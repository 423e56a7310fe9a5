"""The environment variables that our children get."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from include.stack.processes import MARKER

# What any program needs to find its feet; nothing that could hold a secret.
_PLAIN = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME")


def marked(state_dir: Path) -> dict[str, str]:
    """Return the variables by which a process of this stack is recognised.

    SPT_NOENV keeps `setproctitle` from overwriting them.
    """
    return {MARKER: str(state_dir), "SPT_NOENV": "1"}


def plain(state_dir: Path, *, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a small environment without anything that the caller happens to have in its own."""
    source = os.environ if base is None else base
    return {key: source[key] for key in _PLAIN if key in source} | marked(state_dir)
