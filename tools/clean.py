"""Removes what setup, runs and tests have made; refuses while the local stack runs.

What it removes in .run — databases, the ledger among them, and secrets — is gone for good.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from include.stack.layout import Layout
from include.stack.processes import belonging

ROOT = Path(__file__).resolve().parent.parent
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".import_linter_cache")


def main() -> int:
    """Return 0 when all is gone, 1 when something runs, 2 when something may not be removed."""
    layout = Layout(ROOT / ".run")
    running = belonging(layout.root, (), data_dir=layout.postgres / "data")
    if running:
        sys.stderr.write(
            f"clean: {len(running)} processes of the local stack are running on what would be "
            "removed; stop them first: make stop\n"
        )
        return 1
    made = [ROOT / name for name in (*CACHES, ".run", ".venv")]
    for top in ("dags", "docker", "examples", "include", "plugins", "tests", "tools"):
        made += (ROOT / top).rglob("__pycache__")
    for path in made:
        try:
            if path.is_symlink():
                path.unlink()
            elif path.exists():
                shutil.rmtree(path)
        except OSError as error:
            sys.stderr.write(f"clean: {path} cannot be removed: {error.strerror}\n")
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
