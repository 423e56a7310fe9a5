"""Nothing that a permit rests on counts without its record, and a failed verification freezes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert

from include.audit.finding import Finding
from include.audit.verification import Verification
from include.audit.watchman import acknowledge, record_verification
from include.errors import LedgerError
from include.ledger import Actor, Source, schema
from include.permits.permit import issue
from tests.integration.train.paper import Station, codes, person

CLI = Source(kind="cli")
# Rows that were written, changed or removed with the database's password and no record.
FORGED = {
    "a gate that said no says go": (
        "UPDATE gate SET verdict = 'go', message = 'fine' WHERE name = 'uat'",
        "records",
    ),
    "a gate's evidence is another": (
        "UPDATE gate SET evidence = '[{\"uri\": \"x\"}]' WHERE name = 'release_tests'",
        "records",
    ),
    "a backup is made younger": (
        "UPDATE backup SET taken_at = taken_at + interval '1 minute'",
        "records",
    ),
    "a backup is made another file": ("UPDATE backup SET path = '/tmp/x'", "records"),
    "the change is made smaller": ("UPDATE change SET title = 'nothing much'", "records"),
    "the slot is moved": ("UPDATE slot SET window_name = 'other'", "records"),
    "a vote is made to last": (
        "UPDATE vote SET expires_at = now() + interval '9 years'",
        "records",
    ),
    "the release is another person's": ("UPDATE release SET requested_by = 'sam'", "records"),
    "a permit is written": (
        "INSERT INTO permit (fence, release_id, attempt, change_id, content_hash, systems,"
        " conditions, holder, issued_at, expires_at) SELECT 77, release_id, 1, id, content_hash,"
        " systems, '[]', 'run-1', now(), '2030-01-01' FROM change",
        "records",
    ),
    "a gate is removed": ("DELETE FROM gate WHERE name = 'commits'", "records"),
    "a lock is written as lifted": (
        "INSERT INTO release_lock (service, release_id, reason, locked_by, locked_at, unlocked_at)"
        " VALUES ('hims-api', 'hims-api-2.3.0', 'x', 'x', now(), now())",
        "records",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_row_that_was_bent_is_no_reason_to_deploy(permitted: Station, name: str) -> None:
    statement, code = FORGED[name]
    permitted.bend(statement)
    decision = issue(permitted.train(begin=False))
    assert decision.permit is None
    assert code in codes(decision)
    condition = next(item for item in decision.conditions if item.code == code)
    assert "no record vouches for" in condition.message


def test_a_lock_that_was_removed_is_missed(permitted: Station) -> None:
    train = permitted.train(begin=False)
    with train.unit() as unit:
        unit.execute(
            insert(schema.release_lock).values(
                service="hims-api", release_id=train.release, reason="rolled back",
                locked_by="x", locked_at=unit.now,
            )
        )  # fmt: skip
        unit.append("release.rolled_back", train.subject, message="x")
    assert "lock" in codes(issue(train))
    permitted.bend("DELETE FROM release_lock")
    decision = issue(train)
    assert codes(decision) == ["records"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE step SET result = jsonb_set(result, '{digest}', '\"sha256:0\"')"
        " WHERE name = 'build_artefact'",
        "UPDATE step SET finished_at = now() WHERE name = 'build_artefact'",
    ],
)
def test_a_step_that_was_bent_stops_the_train(permitted: Station, statement: str) -> None:
    permitted.bend(statement)
    with pytest.raises(LedgerError, match="is not what its record says"):
        permitted.train(begin=False).result("build_artefact")
    assert issue(permitted.train(begin=False)).permit is None


def test_a_step_that_was_written_as_done_is_not_done(permitted: Station) -> None:
    permitted.bend(
        "INSERT INTO step VALUES ('hims-api-2.3.0', 1, 'watch_release', 'done', 1, '{}', now())"
    )
    with pytest.raises(LedgerError, match="is not what its record says"):
        permitted.train(begin=False).has("watch_release")


def failed(*findings: Finding) -> Verification:
    return Verification(
        size=3, root=bytes(32), unsequenced=0, sealed=None, heads=0, findings=findings
    )


EDITED = Finding(kind="edited", seq=2, position=1, message="record 2 is not what was written")
CUT = Finding(kind="truncated", seq=9, position=8, message="the newest 3 were cut off")


def watch(station: Station, *findings: Finding) -> bool:
    return record_verification(
        station.ledger, failed(*findings), Actor.service("audit_seal"), CLI, station.clock()
    )


def end_alarm(station: Station, user: str, reason: str = "a disk was restored") -> Any:
    who = station.people.find(user)
    assert who is not None
    with station.ledger.write(person(user), CLI, station.clock()) as unit:
        return acknowledge(unit, who, reason, roles=("security_officer",))


def refused_by_ledger(station: Station) -> bool:
    return codes(issue(station.train(begin=False))) == ["ledger"]


def test_a_failed_verification_freezes_releases_until_a_person_acknowledges(
    permitted: Station,
) -> None:
    assert watch(permitted, EDITED)
    assert refused_by_ledger(permitted)
    notice = [row for row in permitted.rows(schema.notice) if row.event == "ledger.alarm"]
    assert [(row.severity, row.audience) for row in notice] == [("critical", "on_call")]
    for user, reason, said in (
        ("devi", "x", "not_eligible"),
        ("rita", "x", "not_eligible"),
        ("sam", "  ", "no_reason"),
    ):
        assert end_alarm(permitted, user, reason).reason == said
        assert refused_by_ledger(permitted)
    assert end_alarm(permitted, "sam").ok
    assert issue(permitted.train(begin=False)).permit is not None
    assert end_alarm(permitted, "sam").reason == "no_alarm"
    denied = permitted.bodies("ledger.acknowledged")
    assert [body["outcome"] for body in denied] == ["denied"] * 3 + ["success", "denied"]


def test_what_was_acknowledged_raises_no_second_alarm_and_anything_new_does(
    permitted: Station,
) -> None:
    watch(permitted, EDITED)
    end_alarm(permitted, "sam")
    assert not watch(permitted, EDITED)
    assert issue(permitted.train(begin=False)).permit is not None
    assert permitted.bodies("ledger.verified")[-1]["outcome"] == "failure"
    assert watch(permitted, EDITED, CUT)
    assert refused_by_ledger(permitted)


def test_a_later_verification_that_finds_nothing_does_not_end_the_alarm(
    permitted: Station,
) -> None:
    watch(permitted, EDITED)
    watch(permitted)
    assert refused_by_ledger(permitted)


def test_the_command_verifies_a_train_and_records_that_it_did(
    permitted: Station, hims: Any
) -> None:
    status, out, _ = hims(permitted, "audit", "verify", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["findings"]) == (1, False, [])
    assert "records are not sealed, the oldest from" in answer["problems"][0]
    assert hims(permitted, "audit", "seal")[0] == 0
    status, out, err = hims(permitted, "audit", "verify", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["first_bad"]) == (0, True, None), (out, err)
    assert answer["size"] == len(permitted.ledger.records()) - 1
    permitted.bend("UPDATE gate SET verdict = 'no_go' WHERE name = 'uat'")
    status, out, err = hims(permitted, "audit", "verify", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"]) == (1, False)
    assert answer["findings"][0]["row"].startswith("gate [")
    assert answer["first_bad"] == answer["findings"][0]["seq"]
    assert "releases are frozen" in err
    events = [body["outcome"] for body in permitted.bodies("ledger.verified")]
    assert events == ["unknown", "success", "failure"]
    assert "ledger" in codes(issue(permitted.train(begin=False)))
