"""PostgreSQL's programs and the key of backups, as `backups` in config/global.yaml says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from include.backups.cipher import read_key
from include.backups.postgres import PostgresTools
from include.errors import BackupError, TargetError
from include.settings import Settings


def backup_tools(settings: Settings, vendor: Callable[[str], Any]) -> PostgresTools:
    """Return the programs; `vendor` hands out the key when an encrypted backup is at hand."""
    declared = settings.overall.backups

    def key() -> bytes:
        try:
            return read_key(str(vendor("backup")["key"]))
        except TargetError as error:
            raise BackupError(f"the key of backups: {error}") from error

    bin_dir = settings.path(declared.postgres_bin) if declared.postgres_bin else None
    return PostgresTools(bin_dir, key=key, encrypt=declared.encrypt)
