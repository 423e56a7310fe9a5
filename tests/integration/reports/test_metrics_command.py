"""`./hims metrics` and `./hims demo-data`, through the front door."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import time_machine

from include.cli import main
from include.ledger import Actor, Ledger, Source, Subject
from include.settings import ROOT
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


@pytest.mark.usefixtures("asks_demo")
def test_successes_that_are_still_observed_are_named_in_words_and_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with time_machine.travel(END, tick=False):
        assert main(["metrics", "--from", "2026-11-15T00:00:00Z"]) == 0
        said = capsys.readouterr().out
        assert main(["metrics", "--from", "2026-11-15T00:00:00Z", "--json"]) == 0
    (rate,) = (
        metric
        for metric in json.loads(capsys.readouterr().out)["metrics"]
        if metric["name"] == "change_success_rate"
    )
    young = [row for row in rate["rows"] if "observed until" in row["why"]]
    assert len(young) == rate["parts"]["still_observed_count"] > 0
    assert f"; {len(young)} of these not yet observed for 3d" in said


@pytest.mark.usefixtures("asks_demo")
def test_how_long_changes_are_observed_is_a_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.setenv("HIMS_CONFIG", str(tmp_path / "config"))
    rates = []
    for written in ("", "reports: {observed_for: 1s}\n"):
        file = tmp_path / "config" / "global.yaml"
        file.write_text(file.read_text(encoding="utf-8") + written, encoding="utf-8")
        assert main(["metrics", *_MONTH, "--json"]) == 0
        metrics = json.loads(capsys.readouterr().out)["metrics"]
        rates.append(next(item for item in metrics if item["name"] == "change_success_rate"))
    assert rates[0]["numerator"] < rates[1]["numerator"]
    assert "until 3d after" in rates[0]["formula"]
    assert "until 1s after" in rates[1]["formula"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "yesterday"], "is not an instant"),
        (["--from", ""], '"" is not an instant'),
        (["--to", ""], '"" is not an instant'),
        (["--as-of", ""], '"" is not an instant'),
        (["--from", "2026-10-02T00:00:00Z", "--to", "2026-10-01T00:00:00Z"], "does not lie after"),
        (["--service", "hims-ap"], 'did you mean "hims-api"'),
        (["--rows", "happiness"], "there is no metric"),
        (["--from", "1999-10-02T00:00:00Z"], "more than ten years"),
        (["--from", "0001-01-01T00:00:00Z", "--to", "0001-02-01T00:00:00Z"], "--from lies between"),
        (["--to", "0001-01-02T00:00:00Z"], "--to lies between"),
        (["--to", "9999-12-31T23:59:59Z"], "--to lies between"),
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


@pytest.mark.parametrize("place", ["", "file/truth.json"])
def test_demo_data_writes_nothing_where_its_truth_cannot_lie(
    place: str, ledger_url: str, ledger: Ledger, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_CONTROL_DB", ledger_url)
    (tmp_path / "file").write_text("in the way")
    assert main(["demo-data", "--years", "1", "--truth", str(tmp_path / place)]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert ledger.records() == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_demo_data_ends_in_a_year_that_calendars_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo-data", "--until", "9999-12-31T00:00:00Z"]) == 2
    assert "--until lies between" in capsys.readouterr().err
