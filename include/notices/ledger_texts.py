"""What Release Control says about its own ledger."""

from __future__ import annotations

from include.notices.notice import Audience, Notice, Severity
from include.notices.wording import one_line, sentence, shorten


def alarm(*, finding: str, key: str) -> Notice:
    """Tell that the ledger does not verify; `key` tells one set of findings from another."""
    return Notice(
        event="ledger.alarm",
        thread="ledger",
        audience=Audience.OPERATIONS,
        severity=Severity.CRITICAL,
        title="The ledger does not verify: releases are frozen",
        text=(
            f"{sentence(shorten(one_line(finding), 500))} No permit is issued until a security "
            "officer or an operations manager acknowledges it (./hims audit acknowledge)."
        ),
        dedupe_key=f"ledger.alarm|{key}",
    )
