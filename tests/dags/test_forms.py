"""What people fill in: the trigger form, and the comment of a human task."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from include.releases.request import read_request
from release_control.forms.release import release_form
from release_control.operators.checkpoint import CheckpointOperator, answered
from release_control.operators.seat_vote import SeatVoteOperator

FILLED_IN = {
    "service": "hims-api",
    "version": "2.4.0",
    "release_type": "minor",
    "target_window": None,
    "strategy": "blue_green",
    "rehearsal": False,
}


def submitted(**changes: Any) -> dict[str, Any]:
    """Return what a run gets for these values; ParamValidationError is the form's refusal."""
    params = ParamsDict(release_form())
    params.update({**FILLED_IN, **changes})
    return dict(params.validate())


def test_the_form_is_read_from_top_to_bottom() -> None:
    form = release_form()
    assert list(form) == list(FILLED_IN)
    for param in form.values():
        assert param.schema["title"]
        assert param.description
    for name in ("release_type", "strategy"):
        assert set(form[name].schema["values_display"]) == set(form[name].schema["enum"])


def test_nobody_can_forget_the_version() -> None:
    with pytest.raises(ParamValidationError):
        ParamsDict(release_form()).validate()


@pytest.mark.parametrize(
    "version",
    [
        "v2.4.0",
        "2.4",
        "2.4.0.1",
        "2.4.0-rc.1",
        "02.4.0",
        "2.4.0 ",
        "2.4.0; ls",
        "../2.4.0",
        "",
        None,
    ],
)
def test_the_form_says_what_a_version_is(version: str | None) -> None:
    with pytest.raises(ParamValidationError, match=r"three numbers like 2\.4\.0, without a v"):
        submitted(version=version)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        # As the form's date-time picker sends it, whatever zone it shows.
        ("2026-12-12T07:30:00.000Z", datetime(2026, 12, 12, 7, 30, tzinfo=UTC)),
        ("2026-12-12T02:30:00-05:00", datetime(2026, 12, 12, 7, 30, tzinfo=UTC)),
        ("2026-12-12T07:30Z", datetime(2026, 12, 12, 7, 30, tzinfo=UTC)),
        (None, None),
    ],
)
def test_what_the_form_takes_as_a_moment_the_plan_reads(
    sent: str | None, meant: datetime | None
) -> None:
    values = submitted(target_window=sent)
    assert read_request(values, requester="rita", requester_name="Rita").target_window == meant


@pytest.mark.parametrize("sent", ["2026-12-12T07:30:00", "2026-12-12", "tomorrow", "", 5])
def test_a_moment_without_an_offset_is_refused_by_the_form(sent: Any) -> None:
    with pytest.raises(ParamValidationError, match="An instant with its offset"):
        submitted(target_window=sent)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"comment": "looks right"}, "looks right"),
        ({"comment": "x" * 100_000}, "x" * 100_000),
        ({"comment": 7}, "7"),
        ({"comment": None}, ""),
        ({"remark": "elsewhere"}, ""),
        ({"comment": "fine", "remark": "more"}, "fine"),
        ({}, ""),
        (None, ""),
    ],
)
def test_no_form_of_an_answer_costs_the_answer(given: Any, kept: str) -> None:
    task = CheckpointOperator(task_id="approve", checkpoint="uat", options=("Approve", "Reject"))
    event = {
        "chosen_options": ["Approve"],
        "params_input": given,
        "responded_at": datetime(2026, 11, 22, tzinfo=UTC),
        "responded_by_user": {"id": "quinn", "name": "quinn"},
    }
    payload = HITLOperator.execute_complete(task, {}, answered(event))
    assert payload["chosen_options"] == ["Approve"]
    assert payload["params_input"] == {"comment": kept}


@pytest.mark.parametrize("kind", [CheckpointOperator, SeatVoteOperator])
def test_what_people_wrote_is_never_run_as_a_template(kind: type[HITLOperator]) -> None:
    assert tuple(kind.template_fields) == ()


def test_the_form_of_a_change_takes_what_happens_at_the_closing() -> None:
    from include.changes.catalogue import load_catalogue
    from include.changes.conf import request_of
    from include.settings import load_settings
    from release_control.forms.change import change_form

    fields = {name: param.value for name, param in change_form().items()}
    given = {**fields, "title": "Restart the cache", "on_close": "finish"}
    assert "on_close" in fields
    assert request_of(given, load_catalogue(load_settings())).on_close == "finish"
