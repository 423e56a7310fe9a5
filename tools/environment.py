"""Makes .venv from the locked, hashed requirements; does nothing where it is up to date.

    python3.11 -m tools.environment          # what `make run` needs
    python3.11 -m tools.environment --dev    # with what `make check` and `make test` need

A stamp in .venv says which locks it was made from. It is taken away before anything changes and
written last, so an interrupted run is completed by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

from tools.uv import (
    ENVIRONMENT,
    ROOT,
    environment_for_uv,
    fetch_uv,
    find_uv,
    outer_pip,
)

PYTHON = ENVIRONMENT / "bin" / "python"
STAMP = ENVIRONMENT / ".installed.json"
# The scripts in an environment name its absolute path, so one that was moved is made anew.
PLACE = ENVIRONMENT / ".place"
RUN_LOCK, DEV_LOCK = "requirements.txt", "requirements-dev.txt"


class SetupError(Exception):
    """What is missing, and how to get it."""


def wanted_stamp(*, dev: bool) -> dict[str, str]:
    """Return what the stamp says of an environment that is up to date: each lock's SHA-256."""
    return {
        lock: hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()
        for lock in ((RUN_LOCK, DEV_LOCK) if dev else (RUN_LOCK,))
    }


def read_stamp(path: Path = STAMP) -> dict[str, str]:
    """Return the stamp, empty where there is none that can be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def setup(*, dev: bool) -> None:
    """Bring .venv up to date. Raises SetupError."""
    # Two at once would tear at the same directory; the lock goes with the process that holds it.
    with (ROOT / RUN_LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = read_stamp()
        works = _works()
        if works and wanted_stamp(dev=dev).items() <= stamp.items():
            return
        # What has the tools keeps them.
        dev = dev or DEV_LOCK in stamp
        try:
            _make(DEV_LOCK if dev else RUN_LOCK, fresh=not works)
            STAMP.write_text(json.dumps(wanted_stamp(dev=dev), indent=2) + "\n", encoding="utf-8")
        except PermissionError as error:
            raise SetupError(
                f"{error.filename or ENVIRONMENT} belongs to another user, and is not what "
                f"{RUN_LOCK} asks for; run `make setup` as that user, or remove {ENVIRONMENT}"
            ) from error


def _works() -> bool:
    try:
        if PLACE.read_text(encoding="utf-8") != str(ROOT):
            return False
    except FileNotFoundError:
        pass  # made by hand
    except OSError:
        return False
    try:
        asked = subprocess.run(
            [str(PYTHON), "-c", "import sys; print(sys.version_info[:2] == (3, 11))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return False
    return asked.stdout.strip() == "True"


def _make(lock: str, *, fresh: bool) -> None:
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    if fresh:
        if ENVIRONMENT.is_symlink():
            ENVIRONMENT.unlink()
        elif ENVIRONMENT.exists():
            shutil.rmtree(ENVIRONMENT)
        venv.create(ENVIRONMENT, symlinks=True, with_pip=False)
        PLACE.write_text(str(ROOT), encoding="utf-8")
    count = sum(1 for line in (ROOT / lock).open(encoding="utf-8") if line[:1].isalnum())
    _say(f"installing {count} locked packages into .venv (the first time they are downloaded)")
    # A pip is there already, or comes with Python; with a uv on PATH none is needed.
    pip = outer_pip() or (None if find_uv() else _inner_pip())
    if not _install_by_uv(lock, pip):
        _install_by_pip(lock, outer_pip() or _inner_pip())
    _say(f"ready after {time.monotonic() - started:.0f} s")


def _inner_pip() -> list[str] | None:
    """Return the command of a pip inside .venv, from the copy that Python brings; None if none."""
    pip = [str(PYTHON), "-m", "pip"]
    for command in ([*pip, "--version"], [str(PYTHON), "-m", "ensurepip", "--default-pip"]):
        done = subprocess.run(command, capture_output=True, check=False, env=_pip_environment())
        if done.returncode == 0:
            return pip
    return None


def _install_by_uv(lock: str, pip: list[str] | None) -> bool:
    uv = find_uv() or (fetch_uv(pip) if pip else None)
    if uv is None:
        return False
    command = [
        uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode",
        "--python", str(PYTHON), str(ROOT / lock),
    ]  # fmt: skip
    if os.environ.get("PIP_NO_INDEX", "0").lower() in ("1", "true", "yes", "on"):
        command.append("--no-index")
    done = subprocess.run(
        command, env=environment_for_uv(pip), cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        _say("uv could not install them (see above); trying pip, which takes a little longer")
    return done.returncode == 0


def _install_by_pip(lock: str, pip: list[str] | None) -> None:
    if pip is None:
        raise SetupError(
            f"{sys.executable} has neither pip nor ensurepip, so no package can be fetched; "
            "on Debian and Ubuntu: apt-get install python3-venv"
        )
    into = [] if pip[0] == str(PYTHON) else ["--python", str(PYTHON)]
    done = subprocess.run(
        [
            *pip, *into, "install", "-qq", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--no-compile", "--requirement", str(ROOT / lock),
        ],
        env=_pip_environment(), cwd=ROOT, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SetupError(
            f"the packages of {lock} could not be installed (see above); a mirror is named to pip "
            "as usual, by PIP_INDEX_URL or pip.conf"
        )
    # Once and in parallel: a start of Airflow without bytecode takes seconds longer, every time.
    subprocess.run(
        [str(PYTHON), "-m", "compileall", "-q", "-j", "0", str(ENVIRONMENT / "lib")],
        stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def _pip_environment() -> dict[str, str]:
    return os.environ | {"PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}


def _say(text: str) -> None:
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Return 0 when .venv is up to date, 2 when it can't be made."""
    if sys.version_info[:2] != (3, 11):
        _say(f"Python 3.11 is needed, this is {sys.version.split()[0]}")
        return 2
    try:
        setup(dev="--dev" in arguments)
    except SetupError as error:
        _say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
