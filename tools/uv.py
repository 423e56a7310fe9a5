"""uv: the one on PATH, else the locked release of tools/uv.txt, fetched by pip.

uv installs the locked set in a quarter of pip's time, but does not read pip's configuration. A
machine that reaches its packages through a mirror says so to pip (PIP_INDEX_URL, pip.conf …), so
what it says is handed on here.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
# Inside the environment, so that it goes when that goes; uv leaves what is not a package alone.
BOOTSTRAPPED = ENVIRONMENT / ".uv"


def find_uv() -> str | None:
    """Return uv's path if it is here already."""
    bootstrapped = BOOTSTRAPPED / "bin" / "uv"
    return shutil.which("uv") or (str(bootstrapped) if bootstrapped.is_file() else None)


def fetch_uv(pip: list[str]) -> str | None:
    """Fetch the locked uv with `pip` (words of a command); None where that does not work."""
    subprocess.run(
        [
            *pip, "install", "-qq", "--disable-pip-version-check", "--no-deps",
            "--require-hashes", "--only-binary=:all:", "--upgrade", "--target", str(BOOTSTRAPPED),
            "--requirement", str(ROOT / "tools" / "uv.txt"),
        ],
        env=os.environ | {"PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"},
        stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    found = find_uv()
    works = found and subprocess.run([found, "--version"], capture_output=True, check=False)
    return found if works and works.returncode == 0 else None


def outer_pip() -> list[str] | None:
    """Return the command of the pip that this Python has, None if it has none."""
    return [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else None


def environment_for_uv(pip: list[str] | None, *, partial: bool = True) -> dict[str, str]:
    """Return this process's environment with pip's configuration as uv understands it.

    Without a `pip` to ask, its files are not read, its variables are. `partial=False` leaves out
    what pip has beside its index: extra indexes and directories of files.
    """
    listed = ""
    if pip:
        listed = subprocess.run(
            [*pip, "config", "list"], capture_output=True, text=True, check=False
        ).stdout
    settings = pip_settings(listed, os.environ)
    if not partial:
        settings = {k: v for k, v in settings.items() if k not in ("extra-index-url", "find-links")}
    return dict(os.environ) | as_uv(settings, os.environ)


def pip_settings(listed: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings by name: `pip config list`'s output under the PIP_… variables."""
    found: dict[str, str] = {}
    for scope in ("global", "install", ":env:"):
        for line in listed.splitlines():
            match = re.fullmatch(rf"{re.escape(scope)}\.([\w-]+)=(['\"].*['\"])", line)
            if match:
                found[match[1]] = str(ast.literal_eval(match[2]))
    for key, value in environment.items():
        if key.startswith("PIP_") and value:
            found[key.removeprefix("PIP_").lower().replace("_", "-")] = value
    return found


def as_uv(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell uv what pip is told; what uv is told already, stands.

    Several indexes are one set to pip, so uv may take any of them: hashes decide what is right.
    """
    translated = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(settings.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": settings.get("timeout", settings.get("default-timeout", "")),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "ALL_PROXY": settings.get("proxy", ""),
    }
    if translated["UV_INDEX"]:
        translated["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    older_names = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
    return {
        key: value
        for key, value in translated.items()
        if value and key not in environment and older_names.get(key, key) not in environment
    }
