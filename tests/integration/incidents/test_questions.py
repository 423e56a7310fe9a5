"""What a run asks about its incident, and what the answers do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from include.errors import RecordMissing, RequestError
from include.incidents import questions
from include.incidents.desk import PARTS, IncidentDesk
from include.ledger import Actor, Ledger, Source, schema
from include.people import load_people
from include.settings import load_settings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOURCE = Source(kind="dag", dag_id="incident", run_id="r1")
OLGA = Actor(user="olga", name="Olga Petrova", auth="airflow-hitl")


@pytest.fixture(autouse=True)
def opened(ledger: Ledger) -> None:
    person = load_people(load_settings()).find("olga")
    assert person is not None
    IncidentDesk(
        ledger=ledger, settings=load_settings(), person=person, actor=OLGA, source=SOURCE,
        clock=lambda: NOW, zone="UTC",
    ).open(title="Down", severity="P1", systems=["api"])  # fmt: skip


def say(ledger: Ledger, step: str, comment: str = "so it was", by: Actor = OLGA) -> bool:
    return questions.answer(
        ledger, load_settings(), "r1", step, choice=questions.OPTIONS[step], comment=comment,
        by=by, source=SOURCE, now=NOW,
    ).ok  # fmt: skip


def test_answered_resolved_reviewed_and_followed_up(ledger: Ledger) -> None:
    prevention = "Less of it.\ntechnical: Limit the cache\n- Training: Reading alarms\nnote: none"
    for step in questions.STEPS:
        assert questions.ask(ledger, load_settings(), "r1", step, NOW).options
        assert say(ledger, step, prevention if step == "prevention" else "so it was")
    said = questions.hold_review(ledger, load_settings(), "r1", source=SOURCE, now=NOW)
    assert said.ok
    with ledger.read() as connection:
        by_number = select(schema.change.c.title).order_by(schema.change.c.id)
        titles = list(connection.execute(by_number).scalars())
    assert titles == ["Limit the cache", "Reading alarms"]
    again = questions.hold_review(ledger, load_settings(), "r1", source=SOURCE, now=NOW)
    assert (again.ok, again.reason) == (True, "already")


def test_a_forced_task_answers_nothing(ledger: Ledger) -> None:
    with pytest.raises(RecordMissing, match="anybody answered"):
        questions.ask(ledger, load_settings(), "r1", "over", NOW)
    say(ledger, "response")
    with pytest.raises(RecordMissing, match="is over"):
        questions.ask(ledger, load_settings(), "r1", "what_happened", NOW)
    say(ledger, "over")
    for part in list(PARTS)[:-1]:
        say(ledger, part)
    with pytest.raises(RequestError, match="nobody has told lessons"):
        questions.hold_review(ledger, load_settings(), "r1", source=SOURCE, now=NOW)
    with pytest.raises(RecordMissing):
        questions.ask(ledger, load_settings(), "another run", "response", NOW)


def test_who_does_not_lead_incidents_answers_nothing(ledger: Ledger) -> None:
    assert not say(ledger, "response", by=Actor(user="steve", name="Steve", auth="airflow-hitl"))
    assert not say(ledger, "response", by=Actor(user="nobody", name="?", auth="airflow-hitl"))
    assert questions.incident_of(ledger, "r1").state == "open"
