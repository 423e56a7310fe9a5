"""The desk: what people do with changes — submit, cancel, hold, vote, review (editing: editing.py).

Every act is a unit of work of its own, so that what was said is kept whatever comes next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from sqlalchemy import update

from include.changes import checklist
from include.changes.ballot import close_ballot, count, open_ballot_of
from include.changes.case import Case, case_of
from include.changes.catalogue import Catalogue, load_catalogue
from include.changes.change import Change, driven_by_train, load_change, open_change
from include.changes.condition import plain
from include.changes.draft import draft
from include.changes.evidence import risk_of
from include.changes.items import TITLES
from include.changes.machine import BEFORE, ENDED, advance, forward, judge
from include.changes.parties import doers_of
from include.changes.request import ChangeRequest
from include.changes.ruling import Ruling, refuse
from include.changes.voting import cast_vote
from include.errors import LedgerError, RequestError
from include.ledger import Actor, Ledger, Source, Unit, schema
from include.ledger.record import storable
from include.output import plain_value
from include.people import Person
from include.policies import note_policies
from include.privacy import screen
from include.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where changes are handled; `actor` acts, `clock` gives the current instant."""

    ledger: Ledger
    settings: Settings
    actor: Actor
    source: Source
    clock: Callable[[], datetime]

    @cached_property
    def catalogue(self) -> Catalogue:
        """Return the configuration, read once."""
        return load_catalogue(self.settings)

    @contextmanager
    def unit(self, actor: Actor | None = None) -> Iterator[Unit]:
        """Open a unit of work in the name of `actor`, else of the desk's own."""
        with self.ledger.write(actor or self.actor, self.source, self.clock()) as unit:
            yield unit

    def load(self, change_id: str) -> Change:
        """Return a change; RecordMissing if there is none by that id."""
        with self.ledger.read() as connection:
            return load_change(connection, change_id)

    def case(self, unit: Unit, change: Change) -> Case:
        """Return a change as its guards see it."""
        return case_of(change, unit.connection, unit.now, self.settings)

    # -- submitting ------------------------------------------------------------------------------

    def submit(self, request: ChangeRequest, by: Person) -> tuple[Change, Ruling]:
        """Write the change down and take it as far as its guards let it go without people.

        It is written in any case; the ruling says what it waits for.
        """
        return self.go_on(self.open(request, by).id)

    def open(self, request: ChangeRequest, by: Person) -> Change:
        """Write the change down as a draft."""
        content = draft(request, self.catalogue, by=by)
        with self.unit() as unit:
            return open_change(unit, content, release_id=None)

    def submitted_by(self, run_id: str) -> str | None:
        """Return the change that this run has submitted already, None if none."""
        for row in self.ledger.records(event="change.opened"):
            body = json.loads(row["body"])
            if body["source"].get("run_id") == run_id:
                return str(body["change"])
        return None

    def go_on(self, change_id: str) -> tuple[Change, Ruling]:
        """Assess the change and bring it before the board, or say what it lacks for that."""
        ruling = Ruling(ok=True, reason="done", message="nothing to do")
        while True:
            change = self.load(change_id)
            way = forward(change)
            if way is None or change.state not in ("draft", "assessing"):
                return change, ruling
            try:
                with self.unit() as unit:
                    now = load_change(unit.connection, change_id, lock=True)
                    if now.state != change.state:
                        # Somebody else has moved it meanwhile: cancelled it, say.
                        ruling = _moved(unit, now)
                        continue
                    if change.state == "assessing":
                        self._assess(unit, now)
                    ruling = advance(
                        unit,
                        self.case(unit, change),
                        way.target,
                        reason="submitted" if change.state == "draft" else "assessed",
                        message=_told(change, way.target),
                    )
            except LedgerError as error:
                if "at this very moment" not in str(error):
                    raise
                continue
            if not ruling.ok:
                return self.load(change_id), ruling

    def _assess(self, unit: Unit, change: Change) -> None:
        case = self.case(unit, change)
        risk = risk_of(case)
        unit.execute(
            update(schema.change)
            .where(schema.change.c.id == change.id)
            .values(risk_level=risk.level)
        )
        unit.append(
            "change.assessed",
            change.subject,
            reason=risk.level,
            message=f"{change.id}: risk {risk.level} (declared {risk.declared or 'nothing'}, "
            f"computed {risk.computed}: {risk.likelihood} × {risk.impact} = {risk.score})",
            details={"risk": plain_value(risk)},
        )

    def cancel(self, change_id: str, reason: str) -> Ruling:
        """Give a change up, before production was touched; what it had booked is free again."""
        said = storable(screen(self.settings, "comment", reason).strip()[:1000])
        with self.unit() as unit:
            change = load_change(unit.connection, change_id, lock=True)
            if change.release_id is not None:
                raise RequestError(
                    f"{change.id} ends with {change.release_id}; answer its checkpoint with a no"
                )
            if change.state == "cancelled":
                unit.append(
                    "change.cancelled",
                    change.subject,
                    reason="already_there",
                    message=f"{change.id} is cancelled already",
                )
                return Ruling(ok=True, reason="already_there", message="it is cancelled already")
            if change.state not in BEFORE:
                problem = f"it is {change.state}; from there it is reviewed and closed"
                return refuse(unit, change, "change.cancel_refused", "not_cancellable", problem)
            return advance(
                unit,
                self.case(unit, change),
                "cancelled",
                reason="cancelled",
                message=f"{change.id} is cancelled" + (f": {said}" if said else ""),
            )

    def hold(self, change_id: str, because: str | None) -> Ruling:
        """Put a change on hold, or (None) let it go on."""
        if because is not None:
            because = storable(screen(self.settings, "comment", because).strip()[:1000])
            because = because or "no reason given"
        with self.unit() as unit:
            change = load_change(unit.connection, change_id, lock=True)
            if change.state in ENDED:
                problem = f"it is {change.state}; nothing of it is left to hold"
                return refuse(unit, change, "change.hold_refused", "not_open", problem)
            if problem := driven_by_train(change):
                problem += "; a no to its next checkpoint stops it"
                return refuse(unit, change, "change.hold_refused", "release", problem)
            unit.execute(
                update(schema.change)
                .where(schema.change.c.id == change.id)
                .values(held_because=because, updated_at=unit.now)
            )
            message = f"{change.id} is on hold: {because}" if because else f"{change.id} goes on"
            unit.append(
                "change.held" if because else "change.resumed",
                change.subject,
                reason="hold" if because else "resumed",
                message=message,
            )
            return Ruling(ok=True, reason="done", message=message)

    # -- the board -------------------------------------------------------------------------------

    def vote(
        self,
        change_id: str,
        *,
        seat: str,
        choice: str,
        comment: str,
        content_hash: str,
        voter: Actor,
        cast_at: datetime,
        criteria: Mapping[str, str] | None = None,
    ) -> Ruling:
        """Cast a vote, look at conflicts anew, and let the change move if that decides it."""
        comment = screen(self.settings, "comment", comment)
        with self.unit(voter) as unit:
            note_policies(unit, self.settings)
            ruling = cast_vote(
                unit,
                change_id,
                self.catalogue.board,
                self.catalogue.people,
                seat=seat,
                choice=choice,
                comment=comment,
                content_hash=content_hash,
                cast_at=cast_at,
                criteria=criteria,
            )
        if ruling.ok:
            self.settle(change_id)
        return ruling

    def settle(self, change_id: str) -> Ruling:
        """Let what the votes amount to move the change: on, back as rejected, or not at all."""
        for _ in range(3):
            try:
                with self.unit() as unit:
                    return self._settle(unit, change_id)
            except LedgerError as error:
                if "at this very moment" not in str(error):
                    raise
        return Ruling(ok=False, reason="slot", message="the slot is taken again and again")

    def _settle(self, unit: Unit, change_id: str) -> Ruling:
        change = load_change(unit.connection, change_id, lock=True)
        case = self.case(unit, change)
        ballot = open_ballot_of(unit.connection, change.id)
        way = forward(change)
        if change.state != "authorizing" or ballot is None or way is None:
            message = f"{change.id} is {change.state}; nothing is open"
            unit.append("ballot.looked_at", change.subject, reason=change.state, message=message)
            return Ruling(ok=False, reason=change.state, message=message)
        verdict = count(unit.connection, change, ballot, unit.now)
        if verdict.verdict == "no_go":
            return advance(unit, case, "rejected", reason="rejected", message=verdict.message)
        if verdict.verdict == "go":
            word = "acknowledged" if change.type == "retroactive" else "approved"
            return advance(unit, case, way.target, reason=word, message=verdict.message)
        if ballot.closes_at <= unit.now:
            close_ballot(unit, change, "expired", reason="expired", message=verdict.message)
            return advance(
                unit,
                case,
                "assessing",
                reason="expired",
                message=f"the time to answer is over: {verdict.message}",
            )
        found = judge(case, way)
        unit.append(
            "ballot.looked_at",
            change.subject,
            reason=verdict.reason,
            message=f"{change.id}: {verdict.message}",
            details={"conditions": plain(found)},
        )
        return Ruling(ok=False, reason=verdict.reason, message=verdict.message, conditions=found)

    # -- people's words --------------------------------------------------------------------------

    def attest(
        self, change_id: str, item: str, *, verdict: Literal["go", "no_go"], comment: str
    ) -> Ruling:
        """Write the actor's word on an item of a checklist.

        Refused, with a record, is who has no word on it; RequestError for an item that has its own
        way (a review is held, not attested), and for one that the ledger judges.
        """
        comment = screen(self.settings, "comment", comment)
        if item == "review":
            raise RequestError("a review is held once it is due: ./hims change review ID")
        with self.unit() as unit:
            change = load_change(unit.connection, change_id, lock=True)
            if change.state in ENDED:
                problem = f"it is {change.state}"
                return refuse(unit, change, "checklist.refused", "not_open", problem)
            if item in TITLES and (problem := self.no_word_on(item, unit)):
                return refuse(unit, change, "checklist.refused", "not_eligible", problem)
            if verdict == "go" and checklist.judged(self.case(unit, change), item):
                raise RequestError(
                    f"{TITLES[item]}: that is judged from the ledger, not by anybody's word"
                )
            checklist.attest(unit, change, item, verdict=verdict, comment=comment)
        return Ruling(ok=True, reason=verdict, message=f"{TITLES[item]}: {verdict}")

    def review(
        self,
        change_id: str,
        *,
        outcome: Literal["successful", "successful_with_issues", "rolled_back", "failed"],
        comment: str,
    ) -> Ruling:
        """Hold the review of a change and close it, if nothing stands in the way.

        Refused to who asked for the change or implemented it, where a review is required.
        """
        comment = screen(self.settings, "comment", comment)
        with self.unit() as unit:
            change = load_change(unit.connection, change_id, lock=True)
            if change.state != "review":
                problem = f"it is {change.state}; only what is in review is reviewed"
                return refuse(unit, change, "review.refused", "not_in_review", problem)
            if problem := self.no_word_on("review", unit):
                return refuse(unit, change, "review.refused", "not_eligible", problem)
            content = change.content
            people = self.catalogue.people
            named = (content.get("on_behalf_of"), *content.get("implementers", ()))
            doers = [people.by_identity(name) for name in doers_of(content)]
            stake = {change.requester, *named, *(person.user for person in doers if person)}
            if self.actor.user in stake:
                problem = "who asked for it or implemented it does not review it"
                return refuse(unit, change, "review.refused", "not_eligible", problem)
            if not comment.strip():
                problem = "a review says what was learnt (--comment)"
                return refuse(unit, change, "review.refused", "no_reason", problem)
            unit.execute(
                update(schema.change)
                .where(schema.change.c.id == change.id)
                .values(outcome=change.outcome or outcome, updated_at=unit.now)
            )
            checklist.attest(unit, change, "review", verdict="go", comment=comment)
        return self.close(change_id)

    def no_word_on(self, item: str, unit: Unit) -> str:
        """Return why the actor's word does not count on an item, "" where it does."""
        board, person = self.catalogue.board, self.catalogue.people.find(unit.actor.user)
        speakers = board.speakers(item)
        if person is not None and board.groups(person, unit.now) & set(speakers):
            return ""
        who = ", ".join(speakers).replace("_", " ")
        return f"{TITLES[item]}: the word of one of these counts: {who}"

    def close(self, change_id: str) -> Ruling:
        """Close a change whose review is done or not asked for."""
        with self.unit() as unit:
            change = load_change(unit.connection, change_id, lock=True)
            case = self.case(unit, change)
            if change.state != "review" and (problem := driven_by_train(change)):
                return refuse(unit, change, "change.close_refused", "release", problem)
            if change.state not in ("validating", "review", "closed"):
                problem = f"it is {change.state}; only what is done is closed"
                return refuse(unit, change, "change.close_refused", "not_done", problem)
            if change.state == "validating":
                ruling = advance(
                    unit, case, "review", reason="validated", message=f"{change.id} is validated"
                )
                if not ruling.ok:
                    return ruling
            return advance(unit, case, "closed", reason="closed", message=f"{change.id} is closed")


def _moved(unit: Unit, change: Change) -> Ruling:
    message = f"{change.id} is {change.state} by now"
    unit.append("change.unmoved", change.subject, reason=change.state, message=message)
    return Ruling(ok=False, reason="moved", message=message)


def _told(change: Change, target: str) -> str:
    return {
        "assessing": f"{change.id} is assessed",
        "authorizing": f"{change.id} is before the board",
        "scheduled": f"{change.id} fits its model and needs no vote",
    }.get(target, f"{change.id} is {target}")
