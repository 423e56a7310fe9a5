"""The ledger: what was decided and done, by whom, in a database of its own (design §6).

State and record are one: every write changes state and appends its record in one transaction.
"""

from include.ledger.ledger import Ledger, Unit
from include.ledger.record import Actor, Outcome, Record, Source, Subject

__all__ = ["Actor", "Ledger", "Outcome", "Record", "Source", "Subject", "Unit"]
