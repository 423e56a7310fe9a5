"""An emergency as people see it: the form, the votes, an edit that voids them, the checklist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium, needs_chromium
from tests.e2e.station import Station, wait_for
from tests.e2e.test_changes import trigger
from tests.e2e.test_ui import button, parts, visitor

pytestmark = [pytest.mark.timeout(900), needs_chromium]

FIELDS = {
    "title": "Restart the session cache of node 3",
    "description": "Sessions are answered from a stale copy.",
    "rollback_plan": "Start the old process again.",
    "affected_systems": "cache",
}
# One that the station has beside ours, in tests/e2e/dags.
CONF = {"node": "cache-3", "shards": 4}
OTHER_DAG = json.dumps({"kind": "dag", "dag_id": "rebuild_cache", "conf": CONF})
ANOTHER_WAY = "impact_assessment.rollback_plan=Another way back"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def incident(station: Station) -> Iterator[str]:
    """Return an incident that is open for as long as the test lasts."""
    said = ("--severity", "P2", "--system", "cache", "--title", "Sessions are stale")
    name = str(by_olga(station, "incident", "open", *said)["id"])
    yield name
    by_olga(station, "incident", "resolve", name, "--how", "restarted")


def test_an_emergency_in_the_hands_of_people(
    station: Station, browser: Browser, incident: str
) -> None:
    change = ask_in_the_form(station, browser, incident)
    assert shown(station, change)["state"] == "authorizing"

    vote(station, browser, change, "tomas", "Technical Lead")
    assert [item["counts"] for item in shown(station, change)["votes"]] == [True]
    edited = station.json("change", "edit", change, "--set", ANOTHER_WAY)
    assert [item["counts"] for item in edited["votes"]] == [False]
    with station.person("rita") as rita:
        path = "/api/v2/dags/cab_ballot/dagRuns"
        rita.request("POST", path, {"logical_date": None, "conf": {"changes": [change]}})
    vote(station, browser, change, "sam", "Security Officer", meeting=2)
    assert shown(station, change)["state"] == "authorizing"
    vote(station, browser, change, "olga", "Operations Manager", meeting=2)

    # Two of the three are enough; it begins at once, in no window. What is not done stops it, and
    # once it is, the same run begins again and asks for what has no word yet.
    refuse(station, change, "alerts")
    for item in ("alerts", "go_no_go"):
        by_olga(station, "change", "attest", change, item, "--comment", "they are now")
    trigger(station, "urgent_changes", {})
    speak(station, browser, change, "go or no-go", "Go", listed=False, number=2)
    speak(station, browser, change, "done as it should", "Done", listed=True)
    wait_for(lambda: shown(station, change)["state"] == "review", seconds=120, every=2)
    records = station.json("audit", "list", "--change", change)["records"]
    events = [record["event"] for record in records]
    assert events.index("permit.issued") < events.index("work.began")
    counted = [vote["voter"] for vote in shown(station, change)["votes"] if vote["counts"]]
    assert counted == ["sam", "olga"]
    words = {item["code"]: item["who"] for item in shown(station, change)["checklist"]}
    assert words["checklist.alerts"] == words["checklist.documentation"] == "olga"
    # What implements it is another Dag, which ran once under the permit, with the approved conf.
    (permit,) = [item["subject"]["id"] for item in records if item["event"] == "permit.issued"]
    with station.person("rita") as rita:
        runs = rita.request("GET", "/api/v2/dags/rebuild_cache/dagRuns").json()["dag_runs"]
        (run,) = runs
        assert (run["dag_run_id"], run["state"]) == (f"{change}-{permit}", "success")
        assert run["conf"] == CONF
        path = f"/api/v2/dags/rebuild_cache/dagRuns/{run['dag_run_id']}/taskInstances/rebuild"
        given = rita.request("GET", f"{path}/xcomEntries/return_value").json()["value"]
    assert given == "cache-3 in 4 shards"


def test_what_is_done_and_found_wrong_is_led_back_while_its_run_waits_for_words(
    station: Station, incident: str, tmp_path: Path
) -> None:
    """The run, parked for days at a question, is begun again for it; the real Airflow clears it."""
    request = {
        "title": "Restart it once more", "type": "emergency", "incident": incident,
        "description": "It is stale again.",
        "impact_assessment": {
            "affected_systems": ["cache"], "risk_level": "medium", "downtime_required": False,
            "rollback_plan": "Start the old process again.",
        },
    }  # fmt: skip
    file = tmp_path / "again.yaml"
    file.write_text(json.dumps(request))
    change = str(station.json("change", "submit", str(file))["id"])
    trigger(station, "urgent_changes", {})
    for user, seat in (("tomas", "Technical Lead"), ("sam", "Security Officer")):
        reply(station, asked(station, f"{change}: {seat} needs to vote", 1), user, "Approve")
    reply(station, asked(station, f"{change}: go or no-go needs your word", 1), "olga", "Go")
    link = asked(station, f"{change}: done as it should needs your word", 1)
    assert shown(station, change)["state"] == "validating"
    by_olga(station, "change", "lead-back", change, "--comment", "the cache is cold")
    trigger(station, "urgent_changes", {})
    wait_for(lambda: shown(station, change)["state"] == "review", seconds=120, every=2)
    assert shown(station, change)["outcome"] == "failed"  # by hand nobody leads back but people
    dag, run, _, _ = parts(link)
    with station.person("rita") as rita:
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}"
        wait_for(lambda: rita.request("GET", path).json()["state"] == "failed", seconds=60)
    told = [item["title"] for item in station.json("notices")["notices"]]
    assert f"{change}: failed, and is not as before" in told


def reply(station: Station, link: str, user: str, option: str) -> None:
    """Answer a question as somebody, with a word on every item that it asks about."""
    dag, run, task, index = parts(link)
    at = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}{index or '/-1'}"
    path = f"{at}/hitlDetails"
    with station.person(user) as session:
        form = session.request("GET", path).json()["params"]
        words = {name: "seen" if name == "comment" else "done" for name in form}
        if option == "Approve":
            words = {"comment": "seen"}
        session.request("PATCH", path, {"chosen_options": [option], "params_input": words})


def refuse(station: Station, change: str, item: str) -> None:
    """Say no as olga, because of one item, and wait until that has ended the run."""
    dag, run, task, _ = parts(asked(station, f"{change}: go or no-go needs your word", 1))
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}"
    with station.person("olga") as olga:
        said = {"chosen_options": ["No-go"], "params_input": {item: "not done", "comment": "no"}}
        olga.request("PATCH", f"{path}/taskInstances/{task}/-1/hitlDetails", said)
        wait_for(lambda: olga.request("GET", path).json()["state"] == "failed", seconds=120)


def by_olga(station: Station, *words: str) -> dict[str, Any]:
    status, out, err = station.run(
        *words, "--user", "olga", "--json", env={"HIMS_PASSWORD": station.passwords["olga"]}
    )
    assert status == 0, err
    return dict(json.loads(out))


def shown(station: Station, change: str) -> dict[str, Any]:
    return dict(station.json("change", "show", change))


def ask_in_the_form(station: Station, browser: Browser, incident: str) -> str:
    """Fill in the form as rita and return the change that comes of it."""
    rita = visitor(station, browser, "rita")
    rita.open("/dags/change_request")
    rita.page.get_by_test_id("trigger-dag-button").click()
    form = rita.page.locator("[role=dialog]:has([data-testid=trigger-dag-submit])")
    for name, value in {**FIELDS, "incident": incident}.items():
        form.locator(f"[name=element_{name}]").fill(value)
    for name, choice in (("type", "emergency"), ("risk_level", "medium")):
        form.locator(f"#element_{name}").get_by_role("combobox").click()
        form.get_by_role("option", name=choice, exact=True).click()
    form.locator("#element_implementation .monaco-editor").click()
    rita.page.keyboard.press("ControlOrMeta+a")
    rita.page.keyboard.insert_text(OTHER_DAG)
    # The editor closes brackets and quotes by itself, behind what it was given.
    rita.page.keyboard.press("ControlOrMeta+Shift+End")
    rita.page.keyboard.press("Delete")
    form.get_by_test_id("trigger-dag-submit").click()
    rita.page.wait_for_url("**/dags/change_request/runs/*")
    expect(rita.page.get_by_test_id("state-badge").first).to_contain_text("Success")
    assert rita.errors == []
    rita.leave()
    waiting = station.json("change", "list", "--state", "authorizing")["changes"]
    (change,) = [item["id"] for item in waiting if item["title"] == FIELDS["title"]]
    return str(change)


def vote(
    station: Station, browser: Browser, change: str, user: str, seat: str, *, meeting: int = 1
) -> None:
    """Approve on the page that the seat's notice of that meeting leads to."""
    link = asked(station, f"{change}: {seat} needs to vote", meeting)
    voter = visitor(station, browser, user)
    voter.open(link)
    expect(voter.page.get_by_test_id("main-content")).to_contain_text(FIELDS["title"])
    voter.text()
    voter.page.locator("textarea[name=element_comment]").fill("seen")
    button(voter.page, "Approve").click()
    expect(voter.page.get_by_text(f"from {user}")).to_be_visible()
    assert voter.errors == voter.refused == []
    voter.leave()
    wait_for(
        lambda: user in [item["voter"] for item in shown(station, change)["votes"]], seconds=60
    )


def speak(
    station: Station,
    browser: Browser,
    change: str,
    about: str,
    word: str,
    *,
    listed: bool,
    number: int = 1,
) -> None:
    """Give olga's word on the checklist, where its notice or the list of open questions leads."""
    link = asked(station, f"{change}: {about} needs your word", number)
    olga = visitor(station, browser, "olga")
    if listed:
        # What the badge on the first page leads to, narrowed down to the change.
        olga.open(f"/required_actions?response_received=false&subject_search={change}")
        olga.page.get_by_role("link", name=f"{change}: {about}").first.click()
    else:
        olga.open(link)
    expect(olga.page.get_by_test_id("main-content")).to_contain_text(FIELDS["title"])
    olga.text()
    # A field for each item, none of them filled in: each gets its word.
    for field in olga.page.locator("[id^=element_]").get_by_role("combobox").all():
        field.click()
        olga.page.get_by_role("option", name="done", exact=True).click()
    button(olga.page, word).click()
    expect(olga.page.get_by_text("from olga")).to_be_visible()
    assert olga.errors == olga.refused == []
    olga.leave()


def asked(station: Station, title: str, number: int) -> str:
    """Return the link of the so-manieth notice of this title, once its task is parked."""

    def link() -> str | None:
        notices = station.json("notices")["notices"]
        found = [item["link"] for item in notices if item["title"] == title]
        return str(found[number - 1]) if len(found) >= number else None

    found = str(wait_for(link, seconds=240, every=2))
    dag, run, task, index = parts(found)
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}{index}"
    with station.person("rita") as rita:
        wait_for(lambda: rita.request("GET", path).json()["state"] == "awaiting_input", seconds=60)
    return found
