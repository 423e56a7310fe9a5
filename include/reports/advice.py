"""What the figures suggest: sentences that name the figure they follow from, and no more."""

from __future__ import annotations

from include.notices.wording import count, listed
from include.reports.making import Material
from include.reports.metrics.dora import failed, recovered_at
from include.reports.metrics.metric import Unit, shown


def improvements(material: Material) -> list[str]:
    """Return where the process cost most, and what got better or worse."""
    card = material.card
    found = []
    for name, what in (("longest_wait_state", "in a state"), ("longest_wait_role", "for a seat")):
        if card[name].value is not None:
            found.append(f"The longest wait {what}: {card[name].said}; {material.was(card[name])}.")
    for name, words in (
        ("change_success_rate", "Changes succeed"),
        ("emergency_change_rate", "Emergency and retroactive changes are made"),
        ("change_fail_rate", "Deployments fail"),
    ):
        now, before = card[name].value, material.before[name].value
        if now is not None and before is not None and abs(now - before) >= 0.02:
            way = "more" if now > before else "less"
            found.append(
                f"{words} {way} often than in the period before: {card[name].text}, "
                f"was {material.before[name].text}."
            )
    use = card["window_use"]
    if use.value is not None and use.value < 0.25:
        found.append(f"Windows stand open unused: {use.said}; fewer or shorter ones might do.")
    retroactive = card["emergency_change_rate"].parts["retroactive_count"]
    if retroactive:
        found.append(
            f"{count(int(retroactive), 'change')} came to the ledger afterwards: what kept people "
            "from asking first?"
        )
    return found


def risks(material: Material) -> list[str]:
    """Return what stands open, from the ledger alone."""
    facts = material.card.facts
    found = [f"{service} is locked: {reason}." for service, reason in material.outlook.locks]
    open_ = [
        item
        for item in material.history.incidents
        if item.closed_at is None and item.severity in ("P1", "P2")
    ]
    if open_:
        found.append(
            f"{count(len(open_), 'incident')} of P1 or P2 open: "
            f"{listed(item.id for item in open_[:8])}."
        )
    lasting = [
        item
        for item in facts.deployments
        if failed(item, facts.observed) and recovered_at(item, facts.observed) is None
    ]
    if lasting:
        found.append(
            f"Failed and not recovered: {listed(item.release or item.version for item in lasting)}."
        )
    vulnerable = material.card["open_vulnerabilities"]
    if vulnerable.value:
        found.append(
            f"{shown(vulnerable.value, Unit.COUNT)} open vulnerabilities: {vulnerable.said}."
        )
    heavy = [item for item in material.outlook.coming if item.type in ("major", "emergency")]
    if heavy:
        found.append(
            f"{count(len(heavy), 'major or emergency change')} ahead: "
            f"{listed(item.id for item in heavy[:8])}."
        )
    unknown = material.card["unauthorised_changes"]
    if unknown.value:
        found.append(f"Unauthorised changes: {unknown.said}.")
    missing = [
        metric.title.lower()
        for metric in material.card.metrics
        if metric.family == "quality" and metric.value is None
    ]
    if missing:
        found.append(f"Nothing is known about {listed(missing)}: no gate recorded it.")
    return found
