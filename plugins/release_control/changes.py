"""How a task gets to the desk where changes are handled, and what it hands on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, requester, source_of

if TYPE_CHECKING:
    from include.changes.desk import Desk
    from include.changes.ruling import Ruling
    from include.ledger import Actor


def desk_of(context: Mapping[str, Any], *, actor: Actor | None = None) -> Desk:
    """Return the desk, in the name of this Dag unless somebody acts."""
    from include.changes.desk import Desk
    from include.ledger import Actor
    from include.settings import load_settings

    return Desk(
        ledger=connections.ledger(),
        settings=load_settings(),
        actor=actor or Actor.service(context["ti"].dag_id),
        source=source_of(context),
        clock=now,
    )


def asked_by(context: Mapping[str, Any]) -> Desk:
    """Return the desk in the name of who triggered the run."""
    return desk_of(context, actor=requester(context))


@contextmanager
def said_at_once() -> Iterator[None]:
    """End the task for good, with its reason, where what it was given makes no sense."""
    from include.errors import InputError, RecordMissing

    try:
        yield
    except (InputError, RecordMissing) as error:
        raise AirflowFailException(str(error)) from error


def handed(ruling: Ruling) -> dict[str, Any]:
    """Return a ruling as a task hands it on; a well-formed no ends the task for good."""
    if not ruling.ok:
        raise AirflowFailException(ruling.message)
    return {"reason": ruling.reason, "message": ruling.message}
