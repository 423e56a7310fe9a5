"""Backups of a service's database, and the proof that one can be restored (design §1.4).

A backup counts only after it was restored into a scratch database and compared with its source.
"""

from include.backups.backup import Backup, load_backup, take_backup
from include.backups.postgres import PostgresTools
from include.backups.proof import Proof, prove_backup

__all__ = ["Backup", "PostgresTools", "Proof", "load_backup", "prove_backup", "take_backup"]
