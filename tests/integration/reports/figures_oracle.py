"""Every figure once more, from the truth of a made-up history, by other means.

Shares no code with `include/reports`: plain loops over the JSON, the statistics module for the
middle, minutes counted one by one where the other side has arithmetic of intervals.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

Truth = dict[str, Any]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def figures(
    truth: Truth,
    start: datetime,
    end: datetime,
    *,
    service: tuple[str, list[str]] | None = None,
    openings: Sequence[tuple[datetime, datetime]] = (),
) -> dict[str, float | None]:
    """Return each figure by its metric's name; `openings` are when windows are open."""
    name, systems = service or ("", [])
    changes = [
        change
        for change in truth["changes"]
        if service is None
        or (
            change["service"] == name
            if change["service"]
            else any(system in systems for system in change["systems"])
        )
    ]
    done = []
    for change in changes:
        state, at = change["way"][-1]
        if state in ("closed", "cancelled", "rejected") and start <= instant(at) < end:
            done.append(change)
    worked = [
        change
        for change in done
        if change["type"] == "retroactive" or _first(change, "implementing") is not None
    ]
    total = len(worked)
    lengths = [seconds for change in worked if (seconds := _length(change)) is not None]
    found: dict[str, float | None] = {
        "change_success_rate": _ratio(sum(_good(truth, change) for change in worked), total),
        "mean_time_to_complete": statistics.fmean(lengths) if lengths else None,
        "rollback_rate": _ratio(sum(change["rolled_back"] for change in worked), total),
        "emergency_change_rate": _ratio(
            sum(change["type"] in {"emergency", "retroactive"} for change in worked), total
        ),
        "unauthorised_changes": sum(
            change["type"] == "retroactive"
            and change["requester"] == "service:reconcile"
            and start <= instant(change["way"][0][1]) < end
            for change in changes
        ),
    }
    deployed = [
        change
        for change in truth["changes"]
        if change["release"]
        and change["release"]["switched"]
        and start <= instant(change["release"]["switched"]) < end
        and (service is None or change["service"] == name)
    ]
    found |= _delivery(truth, deployed, start, end)
    found |= _quality(truth, deployed, start, end, name)
    found |= _waits(changes, done, start, end)
    found["freeze_days"] = _frozen(truth, start, end, name)
    found["window_use"] = _used(changes, start, end, openings)
    return found


def _delivery(
    truth: Truth, deployed: list[Truth], start: datetime, end: datetime
) -> dict[str, float | None]:
    leads, recoveries, failures, reworked = [], [], 0, 0
    for change in deployed:
        release = change["release"]
        at = instant(release["switched"])
        leads += [(at - instant(made)).total_seconds() for made in release["commits"]]
        urgent = [
            item
            for item in truth["incidents"]
            if item["caused_by"] == change["id"]
            and item["severity"] in ("P1", "P2")
            and at <= instant(item["opened"]) < at + timedelta(hours=72)
        ]
        reworked += release["type"] == "hotfix" or change["type"] == "emergency"
        if not urgent and not release["returned"]:
            continue
        failures += 1
        if release["returned"]:
            recoveries.append((instant(release["returned"]) - at).total_seconds())
        elif all(item["closed"] for item in urgent):
            last = max(instant(item["closed"]) for item in urgent)
            recoveries.append((last - at).total_seconds())
    weeks = (end - start).total_seconds() / 604_800
    return {
        "change_lead_time": statistics.median(leads) if leads else None,
        "deployment_frequency": len(deployed) / weeks,
        "failed_deployment_recovery_time": statistics.median(recoveries) if recoveries else None,
        "change_fail_rate": _ratio(failures, len(deployed)),
        "deployment_rework_rate": _ratio(reworked, len(deployed)),
    }


def _quality(
    truth: Truth, deployed: list[Truth], start: datetime, end: datetime, service: str
) -> dict[str, float | None]:
    after = {
        item["id"]
        for change in deployed
        for item in truth["incidents"]
        if item["caused_by"] == change["id"]
        and instant(change["release"]["switched"])
        <= instant(item["opened"])
        < instant(change["release"]["switched"]) + timedelta(days=30)
    }
    taken = sorted(
        (
            (instant(item["at"]), change["release"], item)
            for change in truth["changes"]
            if change["release"] and service in ("", change["service"])
            for item in change["release"]["measures"]
            if start <= instant(item["at"]) < end
        ),
        key=lambda found: (found[0], found[1]["id"]),
    )
    # Found before the release, in whichever month that was.
    before = [
        item["value"]
        for change in deployed
        for item in change["release"]["measures"]
        if item["measure"] == "defects_found"
        and instant(item["at"]) <= instant(change["release"]["switched"])
    ]
    newest: dict[tuple[str, str], float] = {}
    for _, release, item in taken:
        newest[item["measure"], release["service"]] = item["value"]

    def over(name: str, how: Callable[[list[float]], float]) -> float | None:
        values = [value for (measure, _), value in newest.items() if measure == name]
        return how(values) if values else None

    return {
        "defect_leakage": _ratio(len(after), len(after) + sum(before)) if before else None,
        "coverage": over("coverage", statistics.fmean),
        "code_quality": over("code_quality", statistics.fmean),
        "open_vulnerabilities": over("open_vulnerabilities", sum),
    }


def _waits(
    changes: list[Truth], done: list[Truth], start: datetime, end: datetime
) -> dict[str, float | None]:
    states: dict[str, list[float]] = {}
    for change in done:
        way = change["way"]
        for index in range(len(way) - 1):
            seconds = (instant(way[index + 1][1]) - instant(way[index][1])).total_seconds()
            states.setdefault(way[index][0], []).append(seconds)
    idle = {
        state: statistics.fmean(values)
        for state, values in states.items()
        if state not in ("implementing", "validating", "rolling_back")
    }
    seats: dict[str, list[float]] = {}
    for change in changes:
        asked = _first(change, "authorizing")
        for seat, cast in change["votes"]:
            if asked is not None and start <= instant(cast) < end:
                seats.setdefault(seat, []).append((instant(cast) - asked).total_seconds())
    return {
        "longest_wait_state": max(idle.values(), default=None),
        "longest_wait_role": max((statistics.fmean(v) for v in seats.values()), default=None),
    }


def _frozen(truth: Truth, start: datetime, end: datetime, service: str) -> float:
    """Count the minutes in which some release was frozen."""
    spans = []
    for change in truth["changes"]:
        release = change["release"]
        if release is None or (service and release["service"] != service):
            continue
        over = instant(release["slot"][1])
        if release["ended"]:
            over = min(over, instant(release["ended"]))
        begins = max(instant(release["feature_freeze"]), instant(release["planned"]))
        spans.append((begins, over))
    edges = sorted({start, end, *(edge for span in spans for edge in span if start < edge < end)})
    seconds = 0.0
    for left, right in pairwise(edges):
        if any(begins <= left and right <= over for begins, over in spans):
            seconds += (right - left).total_seconds()
    return seconds / 86_400


def _used(
    changes: list[Truth],
    start: datetime,
    end: datetime,
    openings: Sequence[tuple[datetime, datetime]],
) -> float | None:
    """Walk through what of the openings lies in the period, from one edge to the next."""
    works = []
    for change in changes:
        began, over = _first(change, "implementing"), _over(change)
        if over is None and change["way"][-1][0] in ("implementing", "rolling_back"):
            over = end
        if began is not None and over is not None:
            works.append((began, over))
    moments = [moment for pair in (*works, *openings) for moment in pair if start < moment < end]
    open_seconds = used_seconds = 0.0
    for left, right in pairwise(sorted({start, end, *moments})):
        if not any(opens <= left and right <= closes for opens, closes in openings):
            continue
        seconds = (right - left).total_seconds()
        open_seconds += seconds
        if any(began <= left and right <= over for began, over in works):
            used_seconds += seconds
    return _ratio(used_seconds, open_seconds)


def _good(truth: Truth, change: Truth) -> bool:
    if change["type"] == "retroactive" or change["rolled_back"]:
        return False
    if change["outcome"] != "successful" or change["way"][-1][0] != "closed":
        return False
    began, over = _first(change, "implementing"), _over(change)
    assert began is not None
    assert over is not None
    opens, closes = (instant(text) for text in change["slot"])
    if began < opens or over > closes:
        return False
    return not any(
        item["caused_by"] == change["id"]
        and item["severity"] != "P4"
        and instant(item["opened"]) >= began
        and (instant(item["opened"]) - over).total_seconds() < 72 * 3600
        for item in truth["incidents"]
    )


def _length(change: Truth) -> float | None:
    began, over = _first(change, "implementing"), _over(change)
    return None if began is None or over is None else (over - began).total_seconds()


def _over(change: Truth) -> datetime | None:
    if change["release"] and change["release"]["returned"]:
        return instant(change["release"]["returned"])
    return _first(change, "review" if change["rolled_back"] else "validating")


def _first(change: Truth, state: str) -> datetime | None:
    return next((instant(at) for name, at in change["way"] if name == state), None)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
