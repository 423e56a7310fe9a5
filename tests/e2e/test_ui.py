"""A release train as people see it: the trigger form, the questions, the grid.

The people whose pages are not looked at answer over REST. With HIMS_SCREENSHOTS=DIR the pictures of
the README are written there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from include.rehearsal.commands import SAMPLE
from include.rehearsal.sample import next_version
from include.rehearsal.work import add_work
from tests.e2e import slack_page
from tests.e2e.browser import SCREENSHOTS, Visitor, chromium, needs_chromium
from tests.e2e.station import Station, wait_for, yes

pytestmark = [pytest.mark.timeout(900), needs_chromium]

ZOOM = 0.78  # whole forms and grids fit into one picture
COMMENT = "Clinic `C04` is there and its hours are right.\nBooked a video visit and cancelled it."
FORM_FIELDS = ["Service", "Version", "Release type", "Target window", "Strategy", "Rehearsal"]
PHASES = [
    "Plan", "Feature freeze", "Code freeze", "Staging", "CAB", "Window", "Production", "Roll back",
    "Close", "Conclude",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_release_train_in_the_hands_of_people(station: Station, browser: Browser) -> None:
    path = station.settings.path(station.settings.service(SAMPLE).repository.path)
    add_work(path)
    version = next_version(path)
    release = f"{SAMPLE}-{version}"
    rita = visitor(station, browser, "rita", zoom=ZOOM)
    form = open_form(rita)
    shown = form.inner_text()
    places = [shown.index(f"{field}\n") for field in FORM_FIELDS]
    assert places == sorted(places)
    for words in ("Minor: features and fixes", "Blue-green: all traffic at once"):
        assert words in shown

    switch_on(form, "rehearsal")
    form.locator("input[name=element_version]").fill(version)
    rita.picture("trigger-form.png")
    refuse_bad_version(station, rita, form, version)
    form.locator("input[name=element_version]").fill(version)
    run_id = submit(rita)
    rita.leave()

    given_up = threading.Event()

    def others_answer(task_id: str, question: Mapping[str, Any]) -> tuple[str, str] | None:
        if given_up.is_set():
            return str(question["options"][1]), "the test gave up"
        if task_id == "staging.approve_uat" or "Security Officer" in str(question["subject"]):
            return None
        return yes(task_id, question)

    with ThreadPoolExecutor(1) as others:
        rehearsal = station.rehearsal(others_answer)
        following = others.submit(rehearsal.follow, release, run_id, limit=600)
        try:
            accept_as_quinn(station, browser, run_id, version)
            vote_as_sam(station, browser, run_id, version)
        except BaseException:
            given_up.set()
            raise
        ended = following.result()
    assert ended.outcome == "released", ended.message
    assert ended.served_version == version

    finished = visitor(station, browser, "rita", zoom=ZOOM)
    see_the_finished_train(station, finished, run_id)
    see_the_thread(station, browser, release)
    assert rita.errors == finished.errors == []
    assert [status for status, _ in rita.refused] == [400]
    assert finished.refused == []

    records = [
        record
        for record in station.records(release=release)
        if record["source"].get("run_id") == run_id
    ]
    assert "release.released" in {record["event"] for record in records}
    (answer,) = [record for record in records if record["event"] == "checkpoint.uat"]
    assert answer["details"]["by"] == "quinn"
    assert answer["details"]["comment"] == COMMENT
    assert "Quinn Harper says go" in answer["message"]
    votes = [record for record in records if record["event"] == "vote.cast"]
    assert {vote["details"]["seat"]: vote["actor"]["user"] for vote in votes}[
        "security_officer"
    ] == "sam"


def test_a_moment_of_the_picker_is_read_by_the_plan_as_it_was_meant(
    station: Station, browser: Browser
) -> None:
    path = station.settings.path(station.settings.service(SAMPLE).repository.path)
    rita = visitor(station, browser, "rita")
    form = open_form(rita)
    form.locator("input[name=element_version]").fill(next_version(path))
    switch_on(form, "rehearsal")
    form.get_by_text("Select date and time").click()
    picker = rita.page.locator("[data-scope=popover][data-part=content][data-state=open]")
    expect(picker).to_contain_text("UTC")
    picker.get_by_placeholder("YYYY/MM/DD").fill("2026/01/03")
    picker.get_by_placeholder("HH:mm").fill("07:30")
    expect(form).to_contain_text("Jan 03, 2026 07:30")
    rita.page.keyboard.press("Escape")
    run_id = submit(rita)

    person = station.person("rita")
    wait_for(lambda: person.run_state(run_id) == "failed", seconds=120)
    refused = station.records(event="release.refused")[-1]
    assert refused["source"]["run_id"] == run_id
    assert "2026-01-03T07:30:00Z is in the past" in refused["message"]
    # Nothing was planned, so nothing that looks like a failed vote or a failed way back is shown.
    states = task_states(station, run_id)
    failed = {task for task, state in states.items() if state == "failed"}
    assert failed == {"plan.freeze_release_plan", "conclude"}
    rita.open(f"/dags/release_train/runs/{run_id}/tasks/plan.freeze_release_plan")
    expect(rita.page.get_by_test_id("main-content")).to_contain_text("is in the past")
    assert rita.errors == []


def refuse_bad_version(station: Station, rita: Visitor, form: Locator, version: str) -> None:
    before = runs(station)
    form.locator("input[name=element_version]").fill(f"v{version}")
    form.get_by_test_id("trigger-dag-submit").click()
    expect(form).to_contain_text(f"'v{version}' does not match")
    expect(form).to_contain_text("'A version is three numbers like 2.4.0, without a v'")
    assert runs(station) == before
    assert rita.refused == [(400, "POST")]


def accept_as_quinn(station: Station, browser: Browser, run_id: str, version: str) -> None:
    link = asked(station, run_id, "User acceptance")
    # Sam sees the same page with the same buttons, and Airflow refuses him.
    sam = visitor(station, browser, "sam")
    sam.open(link)
    expect(button(sam.page, "Approve")).to_be_enabled()
    button(sam.page, "Approve").click()
    expect(sam.page.get_by_text("Access Denied")).to_be_visible()
    assert sam.refused == [(403, "PATCH")]
    denied = station.records(event="api_write.denied")[-1]
    assert denied["actor"]["user"] == "sam"
    assert "approve_uat" in denied["source"]["task_id"]

    quinn = visitor(station, browser, "quinn", zoom=ZOOM)
    quinn.open(link)
    expect(quinn.page.get_by_text(f"User acceptance: Release HIMS API {version}")).to_be_visible()
    shown = quinn.text()
    for words in (
        f"Does HIMS API {version} do what its users need?",
        "New features",
        "clinics: open outpatient clinic",
        f"v{version}-rc.",
        "Passed in staging: list appointments",
        "QA Lead: Quinn Harper",
        "no answer in time, ends this train",
    ):
        assert words in shown, shown
    # Markdown is rendered, not shown.
    assert "**" not in shown
    assert "- Candidate" not in shown
    staging = quinn.page.get_by_role("link", name="http://127.0.0.1:")
    assert str(staging.get_attribute("href")).startswith("http://127.0.0.1:")

    quinn.page.locator("textarea[name=element_comment]").fill(COMMENT)
    quinn.picture("approval.png")
    button(quinn.page, "Approve").click()
    expect(quinn.page.get_by_text("from quinn")).to_be_visible()
    assert quinn.errors == sam.errors == []
    assert quinn.refused == []
    sam.leave()
    quinn.leave()


def vote_as_sam(station: Station, browser: Browser, run_id: str, version: str) -> None:
    link = asked(station, run_id, "Security Officer")
    assert "/mapped/" in link
    sam = visitor(station, browser, "sam")
    sam.open(link)
    expect(sam.page.get_by_text(f"Security Officer: Release HIMS API {version}")).to_be_visible()
    shown = sam.text()
    for words in (
        "requested by Rita Moreno",
        # Shown as it was written, not as Markdown: the ticks stay.
        f"approved by Quinn Harper, “{' '.join(COMMENT.split())}”",
        "Way back: traffic back to",
        "Security Officer: Sam Okafor",
        "Your vote signs sha256:",
        "Technical Lead, Product Manager and Security Officer approve",
    ):
        assert words in shown, shown
    button(sam.page, "Approve").click()
    expect(sam.page.get_by_text("from sam")).to_be_visible()
    sam.open(link.partition("/mapped/")[0] + "/mapped")
    for seat in ("Technical Lead", "Product Manager", "Security Officer", "Operations Manager"):
        expect(sam.page.get_by_role("link", name=seat)).to_be_visible()
    assert sam.errors == []
    assert sam.refused == []
    sam.leave()


def see_the_finished_train(station: Station, rita: Visitor, run_id: str) -> None:
    states = task_states(station, run_id)
    assert states.pop("roll_back") == "skipped"
    assert set(states.values()) == {"success"}
    rita.open(f"/dags/release_train/runs/{run_id}/details")
    expect(rita.page.get_by_test_id("state-badge").first).to_contain_text("Success")
    grid = rita.page.get_by_test_id("main-content")
    for phase in PHASES:
        expect(grid.get_by_text(phase, exact=True).first).to_be_visible()
    rita.page.get_by_test_id("expand-all-button").click()
    expect(grid.get_by_text("Prove backup", exact=True).first).to_be_visible()

    def colour(task: str) -> str:
        badge = rita.page.get_by_test_id(f"grid-{run_id}-{task}").get_by_test_id("task-state-badge")
        return str(badge.evaluate("badge => getComputedStyle(badge).backgroundColor"))

    skipped = colour("roll_back")
    green = {colour(task) for task in states}
    assert len(green) == 1
    assert skipped not in green
    rita.text()
    rita.page.get_by_role("button", name="Show Gantt").click()
    rita.picture("finished-train.png")


def see_the_thread(station: Station, browser: Browser, release: str) -> None:
    """Read what Slack took: one thread, whose first message says how it ended."""

    def title(message: Mapping[str, Any]) -> str:
        return str(message["blocks"][0]["text"]["text"])

    def opening() -> Mapping[str, Any] | None:
        taken = [item for item in station.slack.taken if "thread_ts" not in item]
        (found,) = [item for item in taken if release in title(item)]
        return found if "released" in title(found) else None

    root = wait_for(opening, seconds=60)
    replies = [item for item in station.slack.taken if item.get("thread_ts") == root["ts"]]
    assert any("User acceptance" in title(item) for item in replies)
    if SCREENSHOTS:
        window = browser.new_page(viewport={"width": 700, "height": 900})
        window.set_content(slack_page.page([root, *replies[:3], *replies[-3:]]))
        window.screenshot(path=Path(SCREENSHOTS) / "slack-thread.png", full_page=True)
        window.close()


def visitor(station: Station, browser: Browser, user: str, *, zoom: float = 1) -> Visitor:
    return Visitor(browser, station.settings.ui_url, user, station.passwords[user], zoom=zoom)


def open_form(rita: Visitor) -> Locator:
    """Go the way to the trigger form that people go."""
    rita.open("/")
    rita.page.get_by_test_id("nav-dags-link").click()
    rita.page.get_by_role("link", name="Release train").first.click()
    # The list of Dags has a button for each; the Dag's own page has one.
    trigger = rita.page.get_by_test_id("trigger-dag-button")
    expect(trigger).to_have_count(1)
    trigger.click()
    form = rita.page.get_by_role("dialog", name="Trigger Dag").or_(
        rita.page.locator("[role=dialog]:has([data-testid=trigger-dag-submit])")
    )
    expect(form.locator("input[name=element_version]")).to_be_visible()
    expect(form.get_by_text("Backfill", exact=True)).to_be_visible()
    expect(form.locator("input[type=radio][value=backfill]")).to_be_disabled()
    return form.first


def submit(rita: Visitor) -> str:
    """Start the train and return the id of the run whose page comes up."""
    rita.page.get_by_test_id("trigger-dag-submit").click()
    rita.page.wait_for_url("**/dags/release_train/runs/*")
    return rita.page.url.rpartition("/runs/")[2].partition("?")[0].replace("%3A", ":")


def switch_on(form: Locator, name: str) -> None:
    switch = form.locator(f"input[name=element_{name}]")
    switch.locator("..").click()
    expect(switch).to_be_checked()


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def asked(station: Station, run_id: str, whom: str) -> str:
    """Return the link of a run's notice that asks `whom`, once it is sent and the task parked.

    The notice is out a moment earlier; a page that is opened in that moment keeps its buttons grey
    until it is loaded again.
    """
    rita = station.person("rita")

    def link() -> str | None:
        for notice in station.json("notices")["notices"]:
            asks = notice["event"] == "checkpoint.asks" and whom in notice["title"]
            if asks and parts(notice["link"])[1] == run_id:
                return str(notice["link"])
        return None

    def parked() -> bool:
        dag, run, task, index = parts(found)
        path = f"/api/v2/dags/{dag}/dagRuns/{quote(run)}/taskInstances/{task}{index}"
        return bool(rita.request("GET", path).json().get("state") == "awaiting_input")

    found = str(wait_for(link, seconds=240, every=1))
    wait_for(parked, seconds=60)
    return found


def parts(link: str) -> tuple[str, str, str, str]:
    """Return Dag, run, task and `/INDEX` (empty for a task that is not mapped) of a link."""
    words = link.partition("/dags/")[2].split("/")
    index = f"/{words[6]}" if words[5] == "mapped" else ""
    return words[0], unquote(words[2]), words[4], index


def runs(station: Station) -> int:
    answer = station.person("rita").request("GET", "/api/v2/dags/release_train/dagRuns?limit=1")
    return int(answer.json()["total_entries"])


def task_states(station: Station, run_id: str) -> dict[str, str]:
    path = f"/api/v2/dags/release_train/dagRuns/{run_id}/taskInstances?limit=100"
    instances = station.person("rita").request("GET", path).json()["task_instances"]
    return {str(item["task_id"]): str(item["state"]) for item in instances}
