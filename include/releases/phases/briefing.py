"""What people read before they decide: what a release brings, when, and whose word is asked.

Lines of Markdown for the page on which they answer. What commits and people wrote is shown as the
text it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from include.approvals import Board
from include.changes.change import Change
from include.errors import RepositoryError
from include.notices.wording import count, listed, moment, one_line, short_digest, stretch
from include.people import People, Person
from include.releases.commits import Commit
from include.releases.notes import Entry, collect_notes, escape_markdown
from include.releases.plan import PlannedSeat, ReleasePlan
from include.releases.train import Train

# Of each kind; the release notes hold them all.
SHOWN = 8


def release_news(train: Train) -> list[str]:
    """Return what the train's commits bring; where the repository cannot be read, that it cannot.

    A question is put all the same: the artefact, not the list, is what people try and approve.
    """
    checked = train.result("check_commits")
    released = set(checked["commits"])
    try:
        found = train.repository.commits(train.plan.previous_commit, str(checked["commit"]))
    except RepositoryError:
        return [f"{count(len(released), 'commit')}; the repository cannot be read now."]
    return news([commit for commit in found if commit.sha in released])


def news(commits: Sequence[Commit]) -> list[str]:
    """Return what `commits` (newest first) bring: what breaks, features, fixes, how many others.

    What was taken back among them is not announced.
    """
    notes = collect_notes(commits)
    gone = {sha for pair in notes.reverted for sha in (pair.commit, pair.by)}
    breaking = [entry for entry in notes.breaking if entry.commit not in gone]
    told = gone | {entry.commit for entry in breaking}
    features = [entry for entry in notes.features if entry.commit not in told]
    fixes = [entry for entry in notes.fixes if entry.commit not in told]
    lines = [
        *_section("Breaking changes", breaking),
        *_section("New features", features),
        *_section("Fixes", fixes),
    ]
    others = len([entry for entry in (*notes.others, *notes.unparsed) if entry.commit not in told])
    if not lines:
        return [f"{count(others, 'commit')} without a feature or a fix."]
    if others:
        lines += ["", f"… and {count(others, 'other commit')}: tests, documentation and upkeep."]
    return lines


def acceptance(train: Train) -> str:
    """Return what the ledger knows of the user acceptance."""
    if not train.has("answer_uat"):
        return "**nobody's answer is in the ledger**"
    answer = train.result("answer_uat")
    comment = escape_markdown(one_line(str(answer["comment"]), 300))
    by = escape_markdown(str(answer.get("name") or answer["by"]))
    return f"approved by {by}" + (f", “{comment}”" if comment else "")


def ballot(
    train: Train, change: Change, *, seat: PlannedSeat, names: Sequence[str], until: datetime
) -> str:
    """Return what a seat is shown before it votes on the train's change; `names` are those who may
    vote for it, and they have time `until` then."""
    plan = train.plan
    scope = change.content["scope"]
    tested = "passed" if train.has("run_release_tests") else "**not in the ledger**"
    tests = train.result("test_staging")["tests"]
    return "\n".join(
        [
            f"**{plan.previous_version} → {plan.version}**, {strategy(plan)}, "
            f"{count(len(scope['commits']), 'commit')}, requested by "
            f"{escape_markdown(plan.requester.name)}.",
            "",
            *release_news(train),
            "",
            heading("Evidence"),
            "",
            f"- Release tests: {tested}",
            f"- Passed in staging: {', '.join(escape_markdown(test) for test in tests)}",
            f"- Way back, tried in staging: {_rehearsed(train)}",
            f"- User acceptance: {acceptance(train)}",
            "",
            heading(f"The change, {change.id}"),
            "",
            f"- Systems: {', '.join(escape_markdown(system) for system in change.systems)}",
            f"- Planned for {planned(plan)}",
            f"- Way back: {escape_markdown(str(change.content['rollback_plan']))}",
            f"- Artefact: `{short_digest(scope['artefact'])}`",
            f"- Your vote signs `{short_digest(change.content_hash)}`: should one of these facts "
            "change, it is void",
            "",
            *asked({seat.title: names}, until, plan.zone),
            "",
            _rule(plan),
        ]
    )


def planned(plan: ReleasePlan) -> str:
    """Return when the release is to go to production, and until when it may."""
    slot = plan.slot
    return (
        f"{stretch(slot.start, slot.end, plan.zone)}; if that is missed, the next opening until "
        f"{moment(slot.latest.replace(second=0), plan.zone)}"
    )


def strategy(plan: ReleasePlan) -> str:
    """Return the strategy as people spell it."""
    return plan.strategy.replace("_", "-")


def respondents(
    people: People, board: Board, groups: Iterable[str], now: datetime
) -> dict[str, list[str]]:
    """Return the names of those who may answer for `groups` at `now`, by the title of the group.

    A title without names is one that nobody bears now.
    """
    found: dict[str, list[str]] = {}
    for group in groups:
        bearers = board.bearers(people, group, now)
        found[_title(board, bearers, group)] = [person.name for person in bearers]
    return found


def asked(by_title: Mapping[str, Sequence[str]], until: datetime, zone: str) -> list[str]:
    """Return who decides and until when, to the minute."""
    lines = [
        f"- {escape_markdown(title)}: "
        + (" or ".join(escape_markdown(name) for name in names) or "nobody bears this role now")
        for title, names in by_title.items()
    ]
    return [heading(f"Who decides, until {moment(until.replace(second=0), zone)}"), "", *lines]


def heading(text: str) -> str:
    """Return a heading of the page, which leaves the buttons in sight where there are several."""
    return f"**{text}**"


def _rule(plan: ReleasePlan) -> str:
    titles = {seat.name: seat.title for seat in plan.seats}
    mandatory = listed(titles.get(name, name) for name in plan.mandatory_seats)
    chair = f", the chair ({titles.get(plan.chair, plan.chair)}) among them" if plan.chair else ""
    return (
        f"It is approved when {mandatory} approve and {plan.votes_needed} of {len(plan.seats)} "
        f"seats have voted{chair}."
    )


def _rehearsed(train: Train) -> str:
    if not train.has("rehearse_rollback"):
        return "**not in the ledger**"
    found = train.result("rehearse_rollback")
    if found.get("rolled_back"):
        return f"took {float(found['seconds']):.1f} s"
    return f"**no**: {escape_markdown(one_line(str(found.get('why') or 'no reason noted'), 400))}"


def _section(title: str, entries: Sequence[Entry]) -> list[str]:
    if not entries:
        return []
    lines = [_line(entry) for entry in entries[:SHOWN]]
    if len(entries) > SHOWN:
        lines.append(f"- … and {len(entries) - SHOWN} more")
    return [heading(title), "", *lines, ""]


def _line(entry: Entry) -> str:
    scope = f"{escape_markdown(entry.scope)}: " if entry.scope else ""
    return f"- {scope}{escape_markdown(entry.subject) or '(no subject)'}"


def _title(board: Board, bearers: Sequence[Person], group: str) -> str:
    if group in board.seats:
        return board.seats[group].title
    for person in bearers:
        return person.titles[person.roles.index(group)]
    return group.replace("_", " ").capitalize()
