"""A copy of config/ that a test may spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

from include.settings import ROOT, Settings, load_settings


class ConfigCopy:
    """The project's configuration in a directory of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copytree(ROOT / "config", directory)

    @property
    def settings(self) -> Settings:
        """Return the settings as the files say now."""
        return load_settings(self.directory)

    def replace(self, name: str, old: str, new: str) -> int:
        """Replace text that must be there once; return the line (1-based) on which it began."""
        path = self.directory / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    def write(self, name: str, text: str) -> None:
        """Write a whole file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
