"""`./hims metrics` and `./hims demo-data`, through the front door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.cli import main
from include.ledger import Actor, Ledger, Source, Subject
from tests.integration.reports.conftest import END, Demo

_MONTH = ["--from", "2026-10-01T00:00:00Z", "--to", "2026-11-01T00:00:00Z"]


@pytest.fixture
def asks_demo(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", demo.url)


@pytest.mark.usefixtures("asks_demo")
def test_metrics_prints_one_document_and_the_same_bytes_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["metrics", *_MONTH, "--json"]) == 0
    first = capsys.readouterr()
    assert main(["metrics", *_MONTH, "--json"]) == 0
    assert capsys.readouterr().out == first.out
    document = json.loads(first.out)
    assert document["from"] == "2026-10-01T00:00:00Z"
    rate = next(item for item in document["metrics"] if item["name"] == "change_success_rate")
    assert rate["denominator"] == len(rate["rows"])
    assert rate["numerator"] == sum(row["counted"] for row in rate["rows"])
    assert rate["formula"]
    assert first.err == ""


@pytest.mark.usefixtures("asks_demo")
def test_metrics_for_people_name_every_family_and_the_rows_of_one_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["metrics", *_MONTH, "--service", "hims-api"]) == 0
    said = capsys.readouterr().out
    for words in ("Change success rate", "Change lead time", "Freeze days", "Longest wait"):
        assert words in said
    assert main(["metrics", *_MONTH, "--rows", "rollback_rate"]) == 0
    assert "CHG-" in capsys.readouterr().out


@pytest.mark.usefixtures("asks_demo")
def test_prometheus_gets_gauges_and_no_sample_for_what_is_unknown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["metrics", *_MONTH, "--prometheus"]) == 0
    lines = capsys.readouterr().out.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert any(line.startswith("release_control_change_success_rate_ratio{") for line in samples)
    for line in samples:
        float(line.rpartition(" ")[2])
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "yesterday"], "is not an instant"),
        (["--from", "2026-10-02T00:00:00Z", "--to", "2026-10-01T00:00:00Z"], "does not lie after"),
        (["--service", "hims-ap"], 'did you mean "hims-api"'),
        (["--rows", "happiness"], "there is no metric"),
        (["--from", "1999-10-02T00:00:00Z"], "more than ten years"),
    ],
)
@pytest.mark.usefixtures("asks_demo")
def test_a_question_that_makes_no_sense_is_misuse(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_an_empty_ledger_is_a_well_formed_no(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    assert main(["metrics", *_MONTH, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    by_name = {item["name"]: item for item in document["metrics"]}
    assert by_name["change_success_rate"]["value"] is None
    assert "no data" in by_name["change_success_rate"]["said"]
    assert by_name["unauthorised_changes"]["value"] == 0


def test_demo_data_goes_into_an_empty_ledger_only(
    ledger_url: str,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    with ledger.write(Actor.service("test"), Source(kind="cli"), END) as unit:
        unit.append("release.refused", Subject(kind="service", id="hims-api"), message="real")
    before = ledger.records()
    assert main(["demo-data", "--truth", str(tmp_path / "truth.json")]) == 2
    assert "empty ledger only" in capsys.readouterr().err
    assert ledger.records() == before
    assert not (tmp_path / "truth.json").exists()
