"""Death at every point: before and after each side effect, once.

The process does not really die, so that a test can go on in it; but what is raised is no Exception,
nothing of ours handles it, and every connection and lock is dropped as it unwinds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from include.backups import kind
from include.deploy.targets.haproxy import HaproxyAdmin
from include.deploy.targets.local import LocalTarget
from include.deploy.targets.slot_store import SlotStore
from include.ledger import Ledger
from include.releases.phases import production


class Killed(BaseException):
    """The process has died here."""


class Killer:
    """Kills at every point that it has not killed at before."""

    def __init__(self) -> None:
        self.phase = ""
        self._done: set[tuple[str, ...]] = set()

    def point(self, *where: str) -> None:
        """Die here, unless this has been survived."""
        label = (self.phase, *where)
        if label not in self._done:
            self._done.add(label)
            raise Killed(" ".join(label))

    def wrapped(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return `real` with a death before and one after it, once for each share of a canary."""

        def deadly(*arguments: Any, **options: Any) -> Any:
            shares = [item for item in arguments if isinstance(item, dict)]
            where = f"{name} {_shown(shares[0])}" if shares else name
            self.point(where, "before")
            answer = real(*arguments, **options)
            self.point(where, "after")
            return answer

        return deadly

    def writing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """Return `Ledger.write` with deaths around each unit, told apart by who writes."""

        @contextmanager
        def deadly(ledger: Ledger, *arguments: Any) -> Iterator[Any]:
            who = _writer()
            self.point("unit", who, "before")
            made: AbstractContextManager[Any] = real(ledger, *arguments)
            with made as unit:
                yield unit
                self.point("unit", who, "before it is committed")
            self.point("unit", who, "after")

        return deadly


def _shown(shares: dict[str, int]) -> str:
    return "/".join(f"{slot} {share}" for slot, share in sorted(shares.items()))


def _writer() -> str:
    """Return the functions of ours that are writing, and the step if there is one."""
    names = []
    frame = sys._getframe(2)
    while frame is not None and len(names) < 6:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("include."):
            name = frame.f_locals.get("name")
            names.append(frame.f_code.co_name + (f"({name})" if isinstance(name, str) else ""))
        frame = frame.f_back  # type: ignore[assignment]
    return "<".join(names)


@contextmanager
def killing() -> Iterator[Killer]:
    """Let every side effect of production kill, once before and once after it."""
    killer = Killer()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in [
            (LocalTarget, "stage"),
            (LocalTarget, "set_weights"),
            (LocalTarget, "retire"),
            (SlotStore, "put_unit"),
            (SlotStore, "put_weights"),
            (SlotStore, "remove_unit"),
            (HaproxyAdmin, "set_weights"),
            (kind, "dump_database"),
            (kind, "restore_and_compare"),
            (production, "migrate"),
        ]:
            label = f"{getattr(owner, '__name__', owner)}.{name}"
            patch.setattr(owner, name, killer.wrapped(label, getattr(owner, name)))
        patch.setattr(Ledger, "write", killer.writing(Ledger.write))
        yield killer
