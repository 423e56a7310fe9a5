"""Brings the ledger's schema to its head, as the role that owns it: the service `ledger-migrate`.

$LEDGER_OWNER_URL names the database; $LEDGER_APP_ROLE is the role that may append and read.
"""

from __future__ import annotations

import os
import sys

from include.ledger.migrations import upgrade


def main() -> int:
    """Migrate; the exit status 2 says that the environment is incomplete."""
    missing = [key for key in ("LEDGER_OWNER_URL", "LEDGER_APP_ROLE") if not os.environ.get(key)]
    if missing:
        sys.stderr.write(f"ledger-migrate: set {' and '.join(missing)}\n")
        return 2
    upgrade(os.environ["LEDGER_OWNER_URL"], app_role=os.environ["LEDGER_APP_ROLE"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
