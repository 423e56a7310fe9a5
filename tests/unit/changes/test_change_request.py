"""Change request files: the plan's template as printed, and everything that people may hand in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.changes.catalogue import Catalogue
from include.changes.conf import request_of
from include.changes.draft import draft
from include.changes.request import read_request
from include.changes.runbook import frozen_steps
from include.changes.words import begins, ends
from include.cli import main
from include.errors import ConfigError, InputError
from tests.unit.config_copy import ConfigCopy


def read(text: str | bytes, catalogue: Catalogue) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    return read_request(raw, "change.yaml", catalogue.known)


def wrong(text: str | bytes, catalogue: Catalogue) -> dict[str, tuple[int | None, str]]:
    with pytest.raises(ConfigError) as refused:
        read(text, catalogue)
    return {item.key: (item.line, item.message) for item in refused.value.problems}


def content(text: str, catalogue: Catalogue, by: str = "rita") -> dict[str, Any]:
    person = catalogue.people.find(by)
    assert person is not None
    return draft(read(text, catalogue), catalogue, by=person)


def test_the_plan_s_template_is_accepted_as_printed(catalogue: Catalogue, template: str) -> None:
    found = content(template, catalogue)
    assert found["title"] == "Implement Patient Portal Redesign"
    assert (found["requester"], found["team"]) == ("rita", "UI/UX Team")
    assert found["affected_systems"] == ["frontend", "api"]
    assert found["approvals_required"] == ["technical_lead", "product_manager", "security_officer"]
    assert found["slot"]["window"] == "standard"


@pytest.mark.parametrize(
    "words",
    [
        "tomas",
        "Tomas Lind",
        "Tomas  LIND <tomas@lind.example>",
        "tlind",
        "@tlind",
        "github:tlind",
        "<@U0TOMAS>",
        "<@U0TOMAS|tomas>",
        "U0TOMAS",
        "tomas.lind@arocord.example (Tomas)",
        "mailto:tomas@lind.example",
    ],
)
@pytest.mark.parametrize("key", ["requester", "team"])
def test_whoever_asks_is_known_under_every_name(
    catalogue: Catalogue, template: str, words: str, key: str
) -> None:
    if key == "team" and "@lind" in words:
        return  # an address from outside is let in only where it says who asks
    found = content(f'title: t\ntype: normal\n{key}: "{words}"', catalogue)
    assert (found["on_behalf_of"], found["team"]) == ("tomas", None)


@pytest.mark.parametrize("words", ["UI/UX Team", "Lind & Partners", "Team @ Arocord", "R&D: web"])
def test_a_team_is_nobody(catalogue: Catalogue, words: str) -> None:
    found = content(f'title: t\ntype: normal\nrequester: "{words}"', catalogue)
    assert (found["on_behalf_of"], found["team"]) == (None, words)


def test_an_account_that_is_nobody_s_is_kept_as_it_is(catalogue: Catalogue) -> None:
    found = content('title: t\ntype: normal\nrequester: "J <j@x.example>"', catalogue)
    assert found["on_behalf_of"] == "j@x.example"
    with pytest.raises(InputError, match="means priya and tomas"):
        content('title: t\ntype: normal\nrequester: tomas\nteam: "Priya Nair"', catalogue)


@pytest.mark.parametrize("key", ["scope: {authors: [%s]}", "retroactive: {done_by: '%s'}"])
def test_no_program_is_an_author(catalogue: Catalogue, key: str) -> None:
    errors = wrong(f"title: t\ntype: normal\n{key % 'Service:tomas'}", catalogue)
    assert any("names a program" in message for _, message in errors.values())


@pytest.mark.parametrize(
    "work",
    [
        "{kind: manual, steps: [a, b]}",
        "{kind: manual}",
        "{kind: dag, dag_id: x}",
        "{kind: flag, service: hims-api, flag: ai_diagnosis, value: true}",
    ],
)
def test_what_was_asked_for_can_be_read_again(catalogue: Catalogue, work: str) -> None:
    found = content(f"title: t\ntype: normal\nimplementation: {work}", catalogue)
    again = content(json.dumps(found["request"]), catalogue)
    assert again["implementation"] == found["implementation"]


@pytest.mark.parametrize("number", [0.00001, 1e22, -1e-7, 0.5, 3])
def test_a_number_of_a_form_stays_a_number(catalogue: Catalogue, number: float) -> None:
    work = {"kind": "dag", "dag_id": "x", "conf": {"share": number, "word": "1e5"}}
    request = request_of(
        {"request": {"title": "t", "type": "normal", "implementation": work}}, catalogue
    )
    found = request.model_dump(mode="json")["implementation"]["conf"]
    assert found == {"share": number, "word": "1e5"}


def test_a_list_of_very_many_is_refused_before_it_is_looked_through(catalogue: Catalogue) -> None:
    # Named with what was meant, each of these would take a millisecond.
    many = ", ".join(f"p{number}" for number in range(100_000))
    errors = wrong(f"title: t\ntype: normal\nimplementers: [{many}]", catalogue)
    assert "100,000 items; more than 50" in errors["implementers"][1]


@pytest.mark.parametrize("item", ["a", '"\\x01"', "9" * 20])
def test_no_more_is_told_than_anybody_reads(catalogue: Catalogue, item: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(f"title: t\ntype: normal\nimplementers: [{', '.join([item] * 5000)}]", catalogue)
    assert len(refused.value.problems) < 110
    assert any("more that is wrong" in item.message for item in refused.value.problems)


@pytest.mark.parametrize("day", ["20250215", "2025-W07", "2025-W07-1", "2025-046"])
def test_a_day_is_written_in_one_way(catalogue: Catalogue, day: str) -> None:
    errors = wrong(f'title: t\ntype: normal\nschedule: {{planned_end: "{day}"}}', catalogue)
    assert "is no date" in errors["schedule.planned_end"][1]


def test_bare_dates_are_whole_local_days_the_last_one_included(
    catalogue: Catalogue, template: str
) -> None:
    slot = content(template, catalogue)["slot"]
    assert (slot["earliest"], slot["latest"]) == ("2025-02-01T05:00:00Z", "2025-02-16T05:00:00Z")


def test_a_day_in_which_the_clocks_change_has_its_true_length(catalogue: Catalogue) -> None:
    request = read(
        "title: x\ntype: normal\nschedule: {planned_start: 2026-11-01, planned_end: 2026-11-01}\n",
        catalogue,
    )
    zone = catalogue.calendar.zone
    start = begins(request.schedule.planned_start, zone)
    end = ends(request.schedule.planned_end, zone)
    assert (end - start).total_seconds() == 25 * 3600


def test_all_errors_are_told_at_once_with_line_key_and_what_was_meant(
    catalogue: Catalogue,
) -> None:
    text = """\
title: ""
type: normul
requestor: me
impact_assessment:
  risk_level: huge
  affected_systems: [frontnd, api]
  downtime_required: "no"
schedule:
  planned_start: "2025-02-30"
  planned_end: 2025-02-31
  change_window: Satrday
approvals_required: [technical_lead, technical_lead, chef]
"""
    found = wrong(text, catalogue)
    assert {key: line for key, (line, _) in found.items()} == {
        "title": 1,
        "type": 2,
        "requestor": 3,
        "impact_assessment.risk_level": 5,
        "impact_assessment.affected_systems.0": 6,
        "impact_assessment.downtime_required": 7,
        "schedule.planned_start": 9,
        "schedule.planned_end": 10,
        "schedule.change_window": 11,
        "approvals_required.1": 12,
        "approvals_required.2": 12,
    }
    assert 'did you mean "normal"?' in found["type"][1]
    assert 'did you mean "requester"?' in found["requestor"][1]
    assert 'did you mean "frontend"?' in found["impact_assessment.affected_systems.0"][1]
    assert "out of range" in found["schedule.planned_end"][1]


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("title: x\ntype: normal\nincident: INC-1\n", "incident", "goes with emergency"),
        ("title: x\ntype: major\nmodel: telemedicine-flag\n", "model", "goes with standard"),
        ("title: x\ntype: normal\nschedule: {planned_start: 2026-12-05, planned_end: 2026-12-04}\n",
         "schedule.planned_end", "before planned_start"),
        ("title: x\ntype: retroactive\nschedule: {planned_start: 2026-12-05}\n",
         "schedule.planned_start", "has happened"),
        ("title: 2.3\ntype: normal\n", "title", "put it in quotes"),
        ("title: x\ntype: normal\npriority: asap\n", "priority", "must be"),
        ("title: x\ntype: normal\nimplementers: [ritta]\n", "implementers.0", '"rita"'),
        ("title: x\ntype: normal\nimplementation: {kind: flug}\n", "implementation",
         'did you mean "flag"'),
        ('title: "a\\nb"\ntype: normal\n', "title", "one line"),
        ('title: "a\\x07b"\ntype: normal\n', "title", "U+0007"),
        ('title: "harmless \\u202e txt.exe"\ntype: normal\n', "title", "U+202E"),
        ('title: "no \\uFFFE letter"\ntype: normal\n', "title", "U+FFFE"),
        ('title: "no \\U0001FFFF letter"\ntype: normal\n', "title", "U+1FFFF"),
        ('title: "\\ufeff"\ntype: normal\n', "title", "U+FEFF"),
        ('title: "\\u200e"\ntype: normal\n', "title", "is empty"),
        ('title: x\ntype: normal\ndescription: "a\\u2067b"\n', "description", "U+2067"),
        ("title: !!binary aGk=\ntype: normal\n", "title", "must be text"),
        ("title: x\ntype: normal\n"
         "implementation: {kind: dag, dag_id: change_implementation, conf: {change: CHG-000001}}\n",
         "implementation.dag_id", "implements none"),
        ("title: x\ntype: normal\nschedule: {duration: 8d}\n", "schedule.duration", "seven days"),
        ("title: x\ntype: normal\nscope: {commits: [abc]}\n", "scope.commits.0", "pattern"),
        ("[]\n", "", "must hold a change request"),
        ("", "", "must hold a change request"),
        ("title: &a [*a]\ntype: normal\n", "title.0", "aliases"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_where_it_stands(
    catalogue: Catalogue, text: str, key: str, said: str
) -> None:
    found = wrong(text, catalogue)
    assert said in found[key][1], found


def test_an_error_of_yaml_hides_no_other_error(catalogue: Catalogue) -> None:
    found = wrong("title: x\ntitle: y\ntype: wrong\nnonsense: 1\n", catalogue)
    assert set(found) == {"title", "type", "nonsense"}


@pytest.mark.parametrize(
    "hidden",
    [
        "schedule: {planned_start: tomorrow}",
        "implementation: {kind: magic}",
        "type: standard\nmodel: [telemedicine-flag]",
        "type: standard\nmodel: telemedicine-flag\nparameters: [on]",
    ],
)
def test_what_is_wrong_behind_very_many_other_things_is_no_surprise(
    catalogue: Catalogue, hidden: str
) -> None:
    kind = "" if "type:" in hidden else "type: normal\n"
    labels = "".join(f"- {number}\n" for number in range(50))
    found = wrong(f"title: x\n{kind}labels:\n{labels}{hidden}\n", catalogue)
    assert "labels.49" in found
    assert "more thing" in found[""][1]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('implementation: {kind: dag, dag_id: x, conf: {to: "a\\0b"}}', "implementation.conf.to"),
        (
            'implementation: {kind: dag, dag_id: x, conf: {"a\\0b": 1}}',
            "implementation.conf.a\0b",
        ),
        (
            'implementation: {kind: dag, dag_id: x, conf: {to: ["\\u202Ea"]}}',
            "implementation.conf.to.0",
        ),
        ('scope: {commit_types: ["fix\\0"]}', "scope.commit_types.0"),
    ],
)
def test_text_that_does_not_show_what_it_says_is_refused_wherever_it_stands(
    catalogue: Catalogue, text: str, key: str
) -> None:
    line, message = wrong(f"title: x\ntype: normal\n{text}\n", catalogue)[key]
    assert line == 3
    assert "character U+" in message


def test_half_a_character_in_a_form_is_told_as_a_fault_of_the_form(catalogue: Catalogue) -> None:
    form = {"request": {"title": "\ud800", "type": "normal"}}
    with pytest.raises(ConfigError, match="form:1: is not UTF-8"):
        request_of(form, catalogue)


def test_an_alias_bomb_is_refused(catalogue: Catalogue) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    found = wrong("\n".join(["title: x", "type: normal", *lines]), catalogue)
    assert any("aliases" in message for _, message in found.values())


def test_markup_of_html_and_slack_is_text_like_any_other(catalogue: Catalogue) -> None:
    title = "<script>alert(1)</script> <!channel> *bold* <https://x|y>"
    assert content(f"title: '{title}'\ntype: normal\n", catalogue)["title"] == title


@pytest.mark.parametrize("size", [201, 999_000])
def test_a_title_that_is_too_long_is_refused(catalogue: Catalogue, size: int) -> None:
    found = wrong(f"title: {'x' * size}\ntype: normal\n", catalogue)
    assert "200" in found["title"][1]
    assert all(len(message) < 500 for _, message in found.values())


def test_a_file_that_is_too_large_is_refused(catalogue: Catalogue) -> None:
    found = wrong(b"title: " + b"x" * 2_000_000, catalogue)
    assert "larger than" in found[""][1]


ANYTHING = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.dates(),
        st.sampled_from(["normal", "emergency", "api", "technical_lead", "2026-12-05", "1h"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(
                st.text(max_size=10),
                st.sampled_from([
                    "title", "type", "risk_level", "affected_systems", "planned_start", "kind",
                    "planned_end", "change_window", "uri", "sha256", "commits", "happened_at",
                ]),
            ),
            inner, max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip
KEYS = (
    "title", "type", "priority", "requester", "description", "impact_assessment", "labels",
    "testing_requirements", "schedule", "approvals_required", "implementation", "scope", "incident",
    "model", "parameters", "retroactive", "implementers", "nonsense",
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_in_a_file_is_a_change_or_a_list_of_errors(
    catalogue: Catalogue, data: dict[str, Any]
) -> None:
    text = yaml.safe_dump(data, allow_unicode=True)
    person = catalogue.people.people[0]
    try:
        found = draft(read(text, catalogue), catalogue, by=person)
    except InputError:
        return
    assert found["title"] == str(data["title"]).strip()
    json.dumps(found)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_bytes_end_in_anything_but_errors(catalogue: Catalogue, raw: bytes) -> None:
    with pytest.raises(ConfigError):
        read(raw, catalogue)


def test_the_command_tells_every_file_and_ends_with_1(
    tmp_path: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, gone = tmp_path / "good.yaml", tmp_path / "bad.yaml", tmp_path / "gone.yaml"
    good.write_text(template)
    bad.write_text("title: x\ntype: normal\nnonsense: 1\n")
    assert main(["change", "validate", str(good), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["valid"] is True
    assert main(["change", "validate", str(good), str(bad), str(gone), "--json"]) == 1
    files = json.loads(capsys.readouterr().out)["files"]
    assert [item["valid"] for item in files] == [True, False, False]
    (error,) = files[1]["errors"]
    assert (error["line"], error["key"]) == (3, "nonsense")
    assert "cannot be read" in files[2]["errors"][0]["message"]


def test_people_read_one_line_for_each_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("title: x\ntype: normal\nnonsense: 1\n")
    assert main(["change", "validate", str(bad)]) == 1
    assert f"{bad}:3: nonsense: unknown key" in capsys.readouterr().out


def test_a_runbook_s_parameters_are_checked_with_the_file(catalogue: Catalogue) -> None:
    text = (
        "title: x\ntype: normal\n"
        "implementation: {kind: runbook, runbook: restart-cache, parameters: {node: %s}}\n"
    )
    work = content(text % "cache-1", catalogue)["implementation"]
    assert work["steps"][0]["run"][-1] == "print('sessions of', 'cache-1')"
    with pytest.raises(InputError, match="must match"):
        content(text % "'; rm -rf /'", catalogue)


def test_a_patient_s_data_is_refused_with_its_line_and_not_repeated(
    catalogue: Catalogue, template: str
) -> None:
    text = template.replace("for improved usability", "after the complaint of MRN 00123456")
    text = text.replace("Revert to previous version", "call 555-234-5678")
    with pytest.raises(ConfigError) as refused:
        read_request(text.encode(), "x.yaml", catalogue.known)
    found = {(item.key, item.line) for item in refused.value.problems}
    assert found == {("description", 6), ("impact_assessment.rollback_plan", 11)}
    assert "00123456" not in str(refused.value)
    assert "medical record number" in str(refused.value)


def test_authors_are_kept_by_the_addresses_and_accounts_they_are_known_by(
    catalogue: Catalogue,
) -> None:
    text = """\
title: x
type: normal
scope:
  authors:
    - Maria Gonzalez <maria.gonzalez@gmail.com>
    - 17+TLind@users.noreply.github.com
    - U0MEITAN
"""
    assert content(text, catalogue)["scope"]["authors"] == [
        "maria.gonzalez@gmail.com",
        "17+TLind@users.noreply.github.com",
        "U0MEITAN",
    ]
    problems = wrong(text.replace("U0MEITAN", "Mei Tan"), catalogue)
    line, message = problems["scope.authors.2"]
    assert line == 7
    assert "must be one address or account" in message
    named = wrong(text.replace("Maria Gonzalez", "Case of MRN 00123456"), catalogue)
    assert "medical record number" in named["scope.authors.0"][1]


FLAG = "title: x\ntype: normal\nimplementation:\n  kind: flag\n"


@pytest.mark.parametrize(
    ("text", "key", "line", "said"),
    [
        (FLAG + "  service: hims-ap\n  flag: telemedicine\n  value: true\n",
         "implementation.service", 5, 'did you mean "hims-api"?'),
        (FLAG + "  service: hims-api\n  environment: producton\n  flag: telemedicine\n"
         "  value: true\n",
         "implementation.environment", 6, 'did you mean "production"?'),
        (FLAG + "  service: hims-api\n  flag: telemedicin\n  value: true\n",
         "implementation.flag", 6, 'did you mean "telemedicine"?'),
        (FLAG + "  service: hims-api\n  flag: telemedicine\n  value: 'on'\n",
         "implementation.value", 7, "must be true or false"),
        ("title: x\ntype: normal\n\nimplementation: {kind: runbook, runbook: restart-cach}\n",
         "implementation.runbook", 4, 'did you mean "restart-cache"?'),
        ("title: x\ntype: normal\nimplementation:\n  kind: runbook\n  runbook: restart-cache\n"
         "  parameters:\n    node: '; rm'\n", "implementation.parameters.node", 7, "must match"),
        ("title: x\ntype: normal\nimplementation: {kind: model, model: nope}\n",
         "implementation.model", 3, "no standard model"),
        ("title: x\ntype: standard\nmodel: telemedicine-flag\nparameters:\n  value: maybe\n",
         "parameters.value", 5, "must be one of true, false"),
        ("title: x\ntype: standard\nmodel: telemedicine-flag\nparameters:\n  value: 'true'\n",
         "parameters.value", 5, "must be one of true, false, without quotes"),
        ("title: x\ntype: major\nimpact_assessment:\n  controls:\n    rollback_planning:\n"
         f"      uri: JavaScript:alert(1)\n      sha256: {'a' * 64}\n",
         "impact_assessment.controls.rollback_planning.uri", 6, "is no address of evidence"),
        ("title: x\ntype: standard\nmodel: telemedicine-flag\n", "parameters.value", 1, "missing"),
        ("title: x\ntype: retroactive\n", "retroactive", 1, "say when it happened"),
        ("title: x\ntype: normal\nimplementation: {dag_id: x}\n", "implementation.kind", 3,
         '"kind" is required'),
        ("title: x\ntype: normal\nimplementation:\n  kind: dag\n  dag_id: x\n"
         "  conf:\n    share: .nan\n", "implementation.conf.share", 7, "signed exactly"),
        ("title: x\ntype: normal\nimplementation:\n  kind: dag\n  dag_id: x\n"
         "  conf: {n: 9007199254740992}\n", "implementation.conf.n", 6, "signed exactly"),
        ("title: x\ntype: normal\nlabels: portal\n", "labels", 3, "must be a list"),
        ("title: [x]\ntype: normal\n", "title", 1, "must be text"),
        ("title: x\ntype: normal\n" + "k" * 500 + ": 1\n", "k" * 60 + "…", 3, "key longer"),
    ],
)  # fmt: skip
def test_what_is_named_and_cannot_be_is_told_where_it_stands(
    catalogue: Catalogue, text: str, key: str, line: int, said: str
) -> None:
    found = wrong(text, catalogue)
    assert found[key][0] == line
    assert said in found[key][1]


def test_what_is_named_is_looked_up_also_where_other_keys_are_wrong(catalogue: Catalogue) -> None:
    text = "title: x\ntype: nrmal\nimplementation: {kind: runbook, runbook: nope}\n"
    assert set(wrong(text, catalogue)) == {"type", "implementation.runbook"}


def test_a_patient_s_data_in_a_key_is_refused_and_not_repeated(catalogue: Catalogue) -> None:
    text = (
        "title: x\ntype: normal\nimplementation:\n  kind: dag\n  dag_id: x\n"
        '  conf:\n    "MRN 00123456": 1\n'
    )
    (found,) = wrong(text, catalogue).items()
    assert found[0] == "implementation.conf"
    assert "medical record number" in found[1][1]
    assert "00123456" not in found[1][1]


def test_a_parameter_s_value_is_never_read_as_another_parameter(config: ConfigCopy) -> None:
    config.write(
        "runbooks/greet.yaml",
        "title: greet\nparameters:\n  one: {description: a, pattern: '.*'}\n"
        "  two: {description: b, pattern: '.*'}\nsteps: [{name: say, run: ['{one}', '{two}']}]\n",
    )
    steps = frozen_steps(config.settings, "greet", {"one": "{two}", "two": "{one}"})
    assert steps[0]["run"] == ["{two}", "{one}"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("['{onne}']", "no step takes one"),
        ('["{one}", "a\\0b"]', "word 2 holds the control character U+0000"),
    ],
)
def test_a_runbook_that_could_not_run_as_it_reads_is_refused(
    config: ConfigCopy, step: str, said: str
) -> None:
    config.write(
        "runbooks/greet.yaml",
        "title: greet\nparameters:\n  one: {description: a, pattern: '.*'}\n"
        f"steps: [{{name: say, run: {step}}}]\n",
    )
    with pytest.raises(ConfigError) as refused:
        frozen_steps(config.settings, "greet", {"one": "x"})
    assert said in refused.value.problems[0].message


def test_a_named_pipe_is_no_file_and_nobody_waits_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert main(["change", "validate", str(pipe), "--json"]) == 1
    (error,) = json.loads(capsys.readouterr().out)["files"][0]["errors"]
    assert "no regular file" in error["message"]
