"""Build the artefact: one file that Python runs, the same bytes for the same source.

    python tools/build.py --output dist/hims-api.pyz

Nothing of the machine or the moment goes in: files sorted, uncompressed, with one fixed date and
mode. What the service needs from elsewhere (requirements.txt) stays in the environment.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = (".py", ".sql")
MAIN = "from hims_api.__main__ import main\n\nraise SystemExit(main())\n"


def contents() -> dict[str, bytes]:
    """Return what goes in, by its name inside the artefact."""
    source = ROOT / "src"
    found = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and path.suffix in SUFFIXES
    }
    found["hims_api/VERSION"] = (ROOT / "VERSION").read_bytes()
    found["__main__.py"] = MAIN.encode()
    return found


def pack(files: dict[str, bytes]) -> bytes:
    """Return the artefact's bytes."""
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def main() -> int:
    """Write the artefact, whole or not at all, and print its digest."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    artefact = pack(contents())
    options.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = options.output.with_name(f".{options.output.name}.{os.getpid()}")
    unfinished.write_bytes(artefact)
    unfinished.replace(options.output)
    print(f"sha256:{hashlib.sha256(artefact).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
