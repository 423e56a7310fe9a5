"""Writes .env for docker-compose.yaml: .env.example with a fresh secret for everything empty.

Needs nothing but Python; refuses to replace a .env, whose passwords the databases already know.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def fill(example: str, uid: int) -> str:
    """Return the text of .env; containers run as `uid` unless that is root."""
    lines = []
    for line in example.splitlines():
        empty = re.fullmatch(r"(\w+)=", line)
        if empty:
            lines.append(line + _secret(empty[1]))
        elif uid and line.startswith("# AIRFLOW_UID="):
            lines.append(f"AIRFLOW_UID={uid}")
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _secret(name: str) -> str:
    if name.endswith("FERNET_KEY"):
        return base64.urlsafe_b64encode(os.urandom(32)).decode()
    # Passwords stand in URLs, so they consist of what needs no quoting there.
    return secrets.token_hex(32)


def main() -> int:
    """Write .env beside .env.example, readable by its owner alone."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".env"
    content = fill((ROOT / ".env.example").read_text(encoding="utf-8"), os.getuid())
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.stderr.write(
            f"{target} exists and stays: the databases were made with its passwords. "
            "Remove it, and the volumes with `docker compose down -v`, to start anew.\n"
        )
        return 1
    except OSError as error:
        sys.stderr.write(f"{target} cannot be written: {error.strerror}\n")
        return 2
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
    sys.stdout.write(f"{target} has new secrets; next: docker compose up --build\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
