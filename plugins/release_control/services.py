"""The names of the configured services, for forms: a look at file names, nothing is read."""

from __future__ import annotations

import os
from pathlib import Path


def service_names() -> list[str]:
    """Return the services under config/services, sorted."""
    root = Path(__file__).resolve().parent.parent.parent
    directory = Path(os.environ.get("HIMS_CONFIG") or root / "config") / "services"
    return sorted(path.stem for path in directory.glob("*.yaml"))
