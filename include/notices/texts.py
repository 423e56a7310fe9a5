"""What Release Control says: one function for each event, and all of its product copy.

Every function takes plain values and returns the Notice. Titles, comments and reasons come from
people and machines; they are cut to a sentence here and escaped by the channel. Instants are aware
and are told in the zone `zone` (an IANA name) and in UTC. `attempt` counts the trains of a release:
what was said in an earlier one is said again in the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from include.instants import format_duration
from include.notices.notice import Audience, Notice, Severity
from include.notices.wording import (
    bullets,
    count,
    listed,
    moment,
    one_line,
    rounded,
    sentence,
    short_digest,
    shorten,
    stretch,
)
from include.notices.writing import write

_QUOTED = 200
_FREEZES = {
    "feature": "New features now wait for the next release; fixes are still taken.",
    "code": "The code is pinned. A fix now needs a signed exception and voids tests and votes.",
}
_DECISIONS = {
    "approve": "approved",
    "approved": "approved",
    "accept": "approved",
    "reject": "rejected",
    "rejected": "rejected",
    "abstain": "abstained",
    "go": "go",
    "no_go": "no-go",
    "timed_out": "not answered in time",
    "timeout": "not answered in time",
}
_GOOD_DECISIONS = {"approved", "go", "abstained"}
_ENDS = {
    "released": ("released", Severity.INFO),
    "rejected": ("rejected", Severity.WARNING),
    "rolled_back": ("rolled back", Severity.CRITICAL),
    "failed": ("failed", Severity.CRITICAL),
}


def release_planned(
    *,
    release: str,
    title: str,
    version: str,
    type: str,
    feature_freeze: datetime,
    code_freeze: datetime,
    slot_start: datetime,
    slot_end: datetime,
    zone: str,
    requester: str,
    link: str | None = None,
    attempt: int = 1,
) -> Notice:
    """Tell that a train has been planned, with its dates."""
    return _notice(
        "release.planned",
        release,
        attempt,
        key=slot_start.isoformat(),
        audience=Audience.STAKEHOLDERS,
        title=f"{release}: planned for {_day(slot_start, zone)}",
        text=f"{_quoted(title)}, a {one_line(type)} release requested by {one_line(requester)}.",
        fields={
            "Version": version,
            "Feature freeze": moment(feature_freeze, zone),
            "Code freeze": moment(code_freeze, zone),
            "Change window": stretch(slot_start, slot_end, zone),
        },
        link=link,
        next=f"feature freeze: {moment(feature_freeze, zone)}",
    )


def freeze_soon(
    *, release: str, phase: str, at: datetime, zone: str, attempt: int = 1, link: str | None = None
) -> Notice:
    """Remind that a freeze begins within a day, at `at`; pointless from then on."""
    explained = {
        "feature": "What is not in develop by then waits for the next release.",
        "code": "What is not on the release branch by then needs a signed exception.",
    }
    return _notice(
        "freeze.soon",
        release,
        attempt,
        key=phase,
        title=f"{release}: {one_line(phase)} freeze begins within a day",
        text=explained.get(phase, "It begins soon."),
        fields={"Begins": moment(at, zone)},
        link=link,
        expires_at=at,
    )


def freeze_began(
    *, release: str, phase: str, detail: str, until: datetime, zone: str, attempt: int = 1
) -> Notice:
    """Tell that a freeze has begun; `phase` is `feature` or `code`, `detail` one more sentence."""
    explained = _FREEZES.get(phase, "")
    return _notice(
        "freeze.began",
        release,
        attempt,
        key=phase,
        audience=Audience.TEAM,
        title=f"{release}: {one_line(phase)} freeze has begun",
        text=f"{explained} {sentence(detail) if detail.strip() else ''}".strip(),
        fields={"Until": moment(until, zone)},
        phase=f"{one_line(phase)} freeze",
        next=f"it ends: {moment(until, zone)}",
    )


def candidate_ready(
    *,
    release: str,
    candidate_tag: str,
    commit: str,
    digest: str,
    commits_count: int,
    attempt: int = 1,
) -> Notice:
    """Tell that a candidate has been built and tagged."""
    return _notice(
        "candidate.ready",
        release,
        attempt,
        key=f"{candidate_tag}:{digest}",
        audience=Audience.TEAM,
        title=f"{release}: candidate {one_line(candidate_tag)} is ready",
        text=f"Built from {count(commits_count, 'commit')}. Staging and UAT come next.",
        fields={"Commit": one_line(commit)[:12], "Artefact": short_digest(digest)},
    )


def checkpoint_asks(
    *,
    release: str,
    checkpoint: str,
    people: Sequence[str],
    until: datetime,
    zone: str,
    key: str,
    link: str | None = None,
    attempt: int = 1,
    users: Sequence[str] = (),
) -> Notice:
    """Ask `people` to decide at `checkpoint` (`UAT`, `CAB: Security Officer`, `Go/no-go`).

    `users` are their sign-ins, by which channels reach them in person. `key` tells this question
    from others at the same checkpoint.
    """
    return _notice(
        "checkpoint.asks",
        release,
        attempt,
        key=key,
        audience=_audience_of(checkpoint),
        severity=Severity.ACTION,
        title=f"{release}: {one_line(checkpoint)} needs your decision",
        text="Please answer in time: without an answer the release does not go ahead.",
        fields={"Asked": listed(people) or "nobody by name", "Answer by": moment(until, zone)},
        link=link,
        people=users,
        phase=_phase_of(checkpoint),
        next=f"answer by {moment(until, zone)}",
        question=key,
        about=checkpoint,
        asked=people,
        answer_by=until,
    )


def checkpoint_reminder(
    *,
    thread: str,
    about: str,
    question: str,
    people: Sequence[str],
    users: Sequence[str],
    until: datetime,
    zone: str,
    key: str,
    link: str | None = None,
) -> Notice:
    """Remind those who are asked `about` something and have not answered; pointless after `until`.

    `question` is the key of the question, `key` tells this reminder of it from others.
    """
    return write(
        "checkpoint.reminder",
        thread,
        question,
        key,
        title=f"{thread}: {one_line(about)} still needs your decision",
        text="Nobody has answered yet, and silence never approves.",
        fields={"Asked": listed(people) or "nobody by name", "Answer by": moment(until, zone)},
        link=link,
        people=users,
        audience=_audience_of(about) if not users else None,
        question=question,
        about=about,
        asked=people,
        answer_by=until,
        expires_at=until,
    )


def checkpoint_unanswered(
    *, release: str, checkpoint: str, key: str, message: str, attempt: int = 1
) -> Notice:
    """Tell that a question has got no answer that counts."""
    return _notice(
        "checkpoint.unanswered",
        release,
        attempt,
        key=key,
        audience=_audience_of(checkpoint),
        title=f"{release}: {one_line(checkpoint)} was not answered",
        text=sentence(message),
        question=key,
        answered=True,
    )


def checkpoint_decided(
    *,
    release: str,
    checkpoint: str,
    decision: str,
    by: str,
    key: str,
    comment: str = "",
    attempt: int = 1,
) -> Notice:
    """Tell what was decided at `checkpoint`, by whom, and with which words."""
    word = one_line(decision)
    folded = word.casefold().replace("-", "_").replace(" ", "_")
    decided = _DECISIONS.get(folded, word)
    said = one_line(comment)
    return _notice(
        "checkpoint.decided",
        release,
        attempt,
        key=key,
        audience=_audience_of(checkpoint),
        severity=Severity.INFO if decided in _GOOD_DECISIONS else Severity.WARNING,
        title=f"{release}: {one_line(checkpoint)}: {decided}",
        text=f"By {one_line(by) or 'nobody'}{f': {_quoted(said)}' if said else '.'}",
        question=key,
        answered=True,
    )


def window_waiting(
    *,
    release: str,
    opens: datetime,
    closes: datetime,
    needs: timedelta,
    zone: str,
    attempt: int = 1,
) -> Notice:
    """Tell that everything is decided and the release waits for its window."""
    return _notice(
        "window.waiting",
        release,
        attempt,
        key=opens.isoformat(),
        audience=Audience.OPERATIONS,
        title=f"{release}: waiting for its change window",
        text=f"The deploy needs {format_duration(needs)} and starts by itself when it opens.",
        fields={
            "Change window": stretch(opens, closes, zone),
            "Starts no later than": moment(closes - needs, zone),
        },
        next=f"the window opens: {moment(opens, zone)}",
    )


def window_closes(
    *, release: str, closes: datetime, unfinished: str, zone: str, attempt: int = 1
) -> Notice:
    """Tell that a release has to end, for its window closes; `unfinished` is what it was at."""
    return _notice(
        "window.closed",
        release,
        attempt,
        key=closes.isoformat(),
        severity=Severity.WARNING,
        title=f"{release}: the change window closes",
        text=sentence(unfinished),
        fields={"Closes": moment(closes, zone)},
    )


def window_opened(
    *,
    release: str,
    opens: datetime,
    closes: datetime,
    needs: timedelta,
    zone: str,
    attempt: int = 1,
) -> Notice:
    """Tell that the window is open and the deploy begins."""
    return _notice(
        "window.opened",
        release,
        attempt,
        key=closes.isoformat(),
        audience=Audience.OPERATIONS,
        title=f"{release}: the change window is open",
        text=f"The deploy needs {format_duration(needs)}; what cannot start in time waits.",
        fields={
            "Closes": moment(closes, zone),
            "Starts no later than": moment(closes - needs, zone),
        },
        next=f"the window closes: {moment(closes, zone)}",
    )


def backup_failed(*, release: str, database: str, reason: str, attempt: int = 1) -> Notice:
    """Tell that there is no proven backup, and so no deploy."""
    said = sentence(reason)
    return _notice(
        "backup.failed",
        release,
        attempt,
        key=f"{database}:{_digest(said)}",
        title=f"{release}: no proven backup",
        text=f"{one_line(database)} is not saved, so nothing is deployed. Users are not affected.",
        fields={"Why": said},
    )


def deploy_step(*, release: str, step: str, detail: str, attempt: int = 1) -> Notice:
    """Tell that a step of the deploy is done; `detail` is what it found."""
    return _notice(
        "deploy.step",
        release,
        attempt,
        key=step,
        title=f"{release}: {one_line(step)}",
        text=sentence(detail),
    )


def backup_proven(
    *, release: str, database: str, rows: int, seconds: float, attempt: int = 1
) -> Notice:
    """Tell that the backup was restored and compared; `seconds` is what the proof took."""
    return _notice(
        "backup.proven",
        release,
        attempt,
        key=database,
        audience=Audience.OPERATIONS,
        title=f"{release}: the backup is proven",
        text=(
            f"{one_line(database)} was restored from its backup into a scratch database; "
            f"{count(rows, 'row')} match. It took {format_duration(rounded(seconds))}."
        ),
    )


def deploy_started(
    *, release: str, version: str, slot: str, digest: str, attempt: int = 1
) -> Notice:
    """Tell that `version` is being put on the slot colour `slot`, still without traffic."""
    return _notice(
        "deploy.started",
        release,
        attempt,
        key=f"{slot}:{digest}",
        audience=Audience.OPERATIONS,
        title=f"{release}: deploy has started",
        text=f"{one_line(version)} goes to {one_line(slot)}. Users are still on the old version.",
        fields={"Artefact": short_digest(digest)},
    )


def traffic_switched(
    *, release: str, from_version: str, to_version: str, attempt: int = 1
) -> Notice:
    """Tell that users are on the new version now."""
    return _notice(
        "traffic.switched",
        release,
        attempt,
        key=f"{from_version}:{to_version}",
        audience=Audience.OPERATIONS,
        title=f"{release}: users are on {one_line(to_version)} now",
        text=(
            f"Traffic was switched from {one_line(from_version)}, which stays ready in case it "
            "is needed again. The new version is being watched."
        ),
    )


def watch_held(
    *,
    release: str,
    step: str,
    reason: str,
    hold: timedelta,
    then: str,
    until: datetime,
    zone: str,
    attempt: int = 1,
) -> Notice:
    """Tell that a watch has no verdict, how long it is held, and what happens `then`."""
    ends = {"roll_back": "rolled back", "finish": "left where it is, unjudged"}
    return _notice(
        "watch.held",
        release,
        attempt,
        key=step,
        audience=Audience.OPERATIONS,
        severity=Severity.WARNING,
        title=f"{release}: nobody can tell how it is doing",
        text=f"It is held for {format_duration(hold)}, then it is {ends.get(then, then)}.",
        fields={"Why": sentence(reason), "Until": moment(until, zone)},
    )


def released(
    *,
    release: str,
    version: str,
    commits_count: int,
    notes_link: str | None,
    seconds: float,
    retrospective: date | None = None,
    zone: str = "UTC",
    attempt: int = 1,
) -> Notice:
    """Tell that the release is done; `seconds` is what the deploy took.

    `retrospective` is a date, or an instant that is told in `zone`.
    """
    fields = {"Deploy took": format_duration(rounded(seconds))}
    if isinstance(retrospective, datetime):
        fields["Retrospective"] = moment(retrospective, zone)
    elif retrospective is not None:
        fields["Retrospective"] = _date(retrospective)
    return _notice(
        "release.released",
        release,
        attempt,
        audience=Audience.STAKEHOLDERS,
        title=f"{release}: released",
        text=(
            f"{one_line(version)} is in production and verified, "
            f"with {count(commits_count, 'commit')}."
        ),
        fields=fields,
        link=notes_link,
        final=True,
    )


def rolled_back(
    *, release: str, version: str, back_to: str, reason: str, attempt: int = 1
) -> Notice:
    """Tell that users were taken back to `back_to`, and why."""
    return _notice(
        "release.rolled_back",
        release,
        attempt,
        audience=Audience.STAKEHOLDERS,
        severity=Severity.CRITICAL,
        title=f"{release}: rolled back to {one_line(back_to)}",
        text=(
            f"Users are on {one_line(back_to)} again. {one_line(version)} is locked until a "
            "second person unlocks it."
        ),
        fields={"Why": sentence(reason)},
        final=True,
    )


def no_way_back(*, release: str, migrations: str, attempt: int = 1) -> Notice:
    """Tell that a bad version keeps serving because its migrations can't be gone back over."""
    return _notice(
        "release.no_way_back",
        release,
        attempt,
        audience=Audience.OPERATIONS,
        severity=Severity.CRITICAL,
        title=f"{release}: failed, and the version before would not work",
        text="Users stay on it until somebody decides: fix it forward, or trigger the Dag "
        "rollback with a database restore, which two people vote on.",
        fields={"Migrations": one_line(migrations)},
    )


def schema_left(
    *, release: str, serves: str, migrations: str, answers: str, attempt: int = 1
) -> Notice:
    """Tell that a release failed before its switch, and left its migrations in the database."""
    return _notice(
        "release.schema_left",
        release,
        attempt,
        audience=Audience.OPERATIONS,
        severity=Severity.CRITICAL,
        title=f"{release}: failed, and {serves} is on its schema",
        text=f"Nobody was led to the new version, but {serves} serves on a database that was "
        f"migrated for it. {answers} Fix it forward, or trigger the Dag rollback with a database "
        "restore, which two people vote on.",
        fields={"Migrations": one_line(migrations)},
    )


def rollback_asks(
    *,
    release: str,
    rollback: str,
    lost: str,
    people: Sequence[str],
    link: str,
    key: str,
    attempt: int = 1,
) -> Notice:
    """Ask for a vote on restoring a database; `lost` says which writes that would cost."""
    return _notice(
        "rollback.asks",
        release,
        attempt,
        key=f"{rollback}:{key}",
        audience=Audience.OPERATIONS,
        severity=Severity.ACTION,
        title=f"{release}: may the database be restored?",
        text=f"{sentence(lost)} Two people have to agree ({one_line(rollback)}).",
        fields={"May answer": listed(people)},
        link=link,
    )


def gone_back(
    *, release: str, rollback: str, version: str, back_to: str, reason: str, attempt: int = 1
) -> Notice:
    """Tell that people led users back by hand."""
    return _notice(
        "rollback.done",
        release,
        attempt,
        key=rollback,
        audience=Audience.STAKEHOLDERS,
        severity=Severity.CRITICAL,
        title=f"{release}: users are on {one_line(back_to)} again",
        text=(
            f"{one_line(version)} was taken back by hand ({one_line(rollback)}) and is locked "
            "until a second person unlocks it."
        ),
        fields={"Why": sentence(reason)},
    )


def permit_refused(*, release: str, reasons: Sequence[str], attempt: int = 1) -> Notice:
    """Tell that the deploy was refused; `reasons` are sentences, one for each condition."""
    said = [sentence(reason) for reason in reasons] or ["No reason was given."]
    return _notice(
        "permit.refused",
        release,
        attempt,
        # The same refusal asked for again is no news; another reason is.
        key=_digest("\n".join(said)),
        audience=Audience.OPERATIONS,
        severity=Severity.CRITICAL,
        title=f"{release}: deploy refused",
        text=f"Nothing changes for users. In the way:\n{bullets(said)}",
    )


def train_ended(
    *, release: str, outcome: str, reason: str, link: str | None = None, attempt: int = 1
) -> Notice:
    """Tell how the train ended: `released`, `rejected`, `rolled_back` or `failed`."""
    word, severity = _ENDS.get(outcome, (one_line(outcome), Severity.WARNING))
    return _notice(
        "release.ended",
        release,
        attempt,
        key=outcome,
        audience=Audience.STAKEHOLDERS,
        severity=severity,
        title=f"{release}: {word}",
        text=sentence(reason),
        link=link,
        phase=word,
        final=True,
    )


def _notice(
    event: str,
    release: str,
    attempt: int,
    *,
    key: str = "",
    **said: Any,
) -> Notice:
    return write(event, release, f"attempt {attempt}", *([key] if key else []), **said)


def _audience_of(checkpoint: str) -> Audience:
    word = checkpoint.casefold()
    if word.startswith("cab"):
        return Audience.CAB
    return Audience.OPERATIONS if word.startswith("go/no-go") else Audience.TEAM


def _phase_of(checkpoint: str) -> str:
    word = checkpoint.casefold()
    if word.startswith("cab"):
        return "before the board"
    return "go or no-go" if word.startswith("go/no-go") else "acceptance in staging"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _quoted(text: str) -> str:
    return f"“{shorten(one_line(text), _QUOTED)}”"


def _day(instant: datetime, zone: str) -> str:
    return moment(instant, zone).partition(" (")[0]


def _date(day: date) -> str:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return moment(noon, "UTC").partition(" 12:00")[0]
