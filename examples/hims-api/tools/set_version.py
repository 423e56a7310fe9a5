"""Write a release's version into VERSION and over the changelog's unreleased entries.

    python tools/set_version.py 2.3.0

Running it again with the same version changes nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = "## Unreleased"


def numbers(version: str) -> tuple[int, ...]:
    """Return (2, 3, 0) for `2.3.0`, with which versions compare as they should."""
    return tuple(int(part) for part in version.split("."))


def with_heading(changelog: str, version: str) -> str:
    """Return the changelog in which the unreleased entries are those of `version`."""
    heading = f"## {version}"
    if heading in changelog.splitlines():
        return changelog
    if UNRELEASED in changelog.splitlines():
        return re.sub(rf"^{UNRELEASED}$", heading, changelog, count=1, flags=re.MULTILINE)
    title, _, rest = changelog.partition("\n")
    return f"{title}\n\n{heading}\n\n- No changes.\n{rest}"


def main() -> int:
    """Set the version; exit status 2 if it cannot be this repository's next one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version", help="like 2.3.0")
    version = parser.parse_args().version
    if not re.fullmatch(r"(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}", version):
        print(f'set_version: "{version[:40]}" is not a version like 2.3.0', file=sys.stderr)
        return 2
    version_file, changelog = ROOT / "VERSION", ROOT / "CHANGELOG.md"
    current = version_file.read_text(encoding="utf-8").strip()
    if numbers(version) < numbers(current):
        print(f"set_version: {version} is older than {current}", file=sys.stderr)
        return 2
    version_file.write_text(f"{version}\n", encoding="utf-8")
    text = changelog.read_text(encoding="utf-8")
    changelog.write_text(with_heading(text, version), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
