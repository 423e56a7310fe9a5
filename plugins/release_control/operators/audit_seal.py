"""Verifies the ledger, and seals it: two tasks, since a ledger that fails is not signed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, source_of
from release_control.courier import deliver_after

if TYPE_CHECKING:
    from include.audit.desk import Desk

SERVICE = "audit_seal"


class VerifyLedgerOperator(BaseOperator):
    """Verifies every record against the signed heads, their anchors and the evidence files that it
    names, and records the outcome.

    What is found alarms people and freezes releases until somebody acknowledges; the task is red
    then, and stays so until the ledger verifies, whatever was acknowledged.
    """

    def execute(self, context: Any) -> dict[str, Any]:
        """Return the size and root of the tree that verified."""
        from include.audit.verification import verify_ledger
        from include.audit.watchman import describe, record_verification
        from include.ledger import Actor

        ledger, desk, at = connections.ledger(), _desk(), now()
        with deliver_after(ledger):
            found = verify_ledger(
                ledger,
                desk.policy.rules.origin,
                desk.known,
                desk.anchors(),
                at,
                tolerance=desk.policy.rules.clock_tolerance,
                evidence=desk.settings.state_dir / "evidence",
            )
            record_verification(ledger, found, Actor.service(SERVICE), source_of(context), at)
        if not found.ok:
            self.log.error("%s", describe(found))
            raise AirflowFailException(describe(found))
        self.log.info("%s", describe(found))
        return {"size": found.size, "root": found.root.hex()}


class SealLedgerOperator(BaseOperator):
    """Signs the newest head and anchors it everywhere; an anchor that is away is tried again."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Return the size that is sealed and where its head is."""
        from include.audit.watchman import record_sealing
        from include.errors import LedgerError
        from include.ledger import Actor

        ledger, desk, at = connections.ledger(), _desk(), now()
        sealed = desk.sealer(ledger).seal(at)
        if sealed.head is None:
            return {"size": 0, "places": []}
        record_sealing(ledger, sealed, Actor.service(SERVICE), source_of(context), at)
        if sealed.problems:
            raise LedgerError("; ".join(sealed.problems))
        return {"size": sealed.head.size, "places": list(sealed.places)}


def _desk() -> Desk:
    """Return the desk with the keys of the Connection and of KMS, else with this machine's own."""
    from include.audit.desk import open_desk
    from include.settings import load_settings

    return open_desk(
        load_settings(),
        now(),
        sign=True,
        keys=connections.seal_keys(),
        s3_client=connections.s3_client,
        kms_client=connections.kms_client,
    )
