"""An emergency as people see it: the form, the votes, an edit that voids them, the checklist."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium, needs_chromium
from tests.e2e.station import Station, wait_for
from tests.e2e.test_ui import button, parts, visitor

pytestmark = [pytest.mark.timeout(900), needs_chromium]

FIELDS = {
    "title": "Restart the session cache of node 3",
    "description": "Sessions are answered from a stale copy.",
    "rollback_plan": "Start the old process again.",
    "affected_systems": "cache",
}
RUNBOOK = '{"kind": "runbook", "runbook": "restart-cache", "parameters": {"node": "cache-3"}}'
ANOTHER_WAY = "impact_assessment.rollback_plan=Another way back"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def incident(station: Station) -> Iterator[str]:
    """Return an incident that is open for as long as the test lasts."""
    said = ("--severity", "P2", "--system", "cache", "--title", "Sessions are stale")
    name = str(by_olga(station, "open", *said)["id"])
    yield name
    by_olga(station, "resolve", name, "--how", "restarted")


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

    # Two of the three are enough; it begins at once, in no window.
    speak(station, browser, change, "go or no-go", "Go", listed=False)
    speak(station, browser, change, "done as it should", "Done", listed=True)
    wait_for(lambda: shown(station, change)["state"] == "review", seconds=120, every=2)
    records = station.json("audit", "list", "--change", change)["records"]
    events = [record["event"] for record in records]
    assert events.index("permit.issued") < events.index("work.began")
    counted = [vote["voter"] for vote in shown(station, change)["votes"] if vote["counts"]]
    assert counted == ["sam", "olga"]


def by_olga(station: Station, *words: str) -> dict[str, Any]:
    (olga,) = [person for person in station.json("people") if person["user"] == "olga"]
    status, out, err = station.run(
        "incident", *words, "--user", "olga", "--json", env={"HIMS_PASSWORD": olga["password"]}
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
    rita.page.keyboard.insert_text(RUNBOOK)
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
    station: Station, browser: Browser, change: str, about: str, word: str, *, listed: bool
) -> None:
    """Give olga's word on the checklist, where its notice or the list of open questions leads."""
    link = asked(station, f"{change}: {about} needs your word", 1)
    olga = visitor(station, browser, "olga")
    if listed:
        # What the badge on the first page leads to, narrowed down to the change.
        olga.open(f"/required_actions?response_received=false&subject_search={change}")
        olga.page.get_by_role("link", name=f"{change}: {about}").first.click()
    else:
        olga.open(link)
    expect(olga.page.get_by_test_id("main-content")).to_contain_text(FIELDS["title"])
    olga.text()
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
