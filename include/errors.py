"""Everything that can be wrong with the world or with a call, as one hierarchy.

    ReleaseControlError
    ├── InputError            what a person or a program handed us is not usable
    │   ├── ConfigError       … a file under config/ (knows file, line, key)
    │   └── RequestError      … a value on a command line, in a Dag's conf or in an HTTP body
    ├── RepositoryError       git cannot give or take what was asked
    ├── LedgerError           the ledger cannot be reached or refuses
    │   ├── LedgerAway        … because its database cannot do it just now; trying again helps
    │   ├── LedgerTampered    … because what it holds is not what was recorded; trying again is vain
    │   └── RecordMissing     … because what this depends on was never recorded
    ├── StackError            a local component (PostgreSQL, HAProxy, Airflow …) is not usable
    ├── TargetError           a deployment target refuses or does not answer
    │   ├── FencedOff         … because a newer permit has been used on it
    │   └── MetricsLost       … because nobody can say how it is doing
    ├── BackupError           a backup could not be taken, or is not proven
    ├── ReportError           a report lacks a form or a copy; it stands without, and can get it
    └── DeliveryError         a channel did not take a notice (knows when to try again)

Outcomes of a rule ("not approved", "window closed") are values, not exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class ReleaseControlError(Exception):
    """Base of all our errors; its text is a readable paragraph: what, where, and what to do."""


class InputError(ReleaseControlError):
    """What was handed in is not usable; nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in one file, at a line (1-based) where the line is known."""

    file: str
    key: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(InputError):
    """One or more problems in a configuration or change file, all of a file at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RequestError(InputError):
    """A value given on the command line, in a Dag's conf or over HTTP is not acceptable."""


class RepositoryError(ReleaseControlError):
    """A git repository is missing, dirty, or cannot give or take what was asked."""


class LedgerError(ReleaseControlError):
    """The ledger cannot be reached, or refuses what was asked of it."""


class LedgerAway(LedgerError):
    """The ledger's database does not answer, and may be back soon, or ended a deadlock; nothing was
    written, and trying again helps."""


class LedgerTampered(LedgerError):
    """What the ledger holds was changed behind its back; nothing is done on such ground."""


class RecordMissing(LedgerError):
    """What was asked for depends on something that the ledger has no record of."""


class StackError(ReleaseControlError):
    """A component of the local stack is not usable."""


class TargetError(ReleaseControlError):
    """A deployment target refuses, or does not answer as it should."""


class FencedOff(TargetError):
    """The target has seen a newer fence; the permit behind this call is no longer in force."""


class MetricsLost(TargetError):
    """A source of metrics does not answer, or has no data; that is neither good nor bad news."""


class BackupError(ReleaseControlError):
    """A backup could not be taken, or what was restored from it is not what was saved."""


class ReportError(ReleaseControlError):
    """A report could not be put into one of its forms, or copied to where it belongs."""


class DeliveryError(ReleaseControlError):
    """A channel did not take a notice.

    `retry_after` is in seconds where the channel named it. `down` says that the channel takes
    nothing at all now, `unsure` that the notice may have arrived all the same, and `for_good` that
    trying again is pointless. Where a channel takes a notice for each person by itself, `waiting`
    names those who alone are still to get it.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        down: bool = False,
        unsure: bool = False,
        for_good: bool = False,
        waiting: Sequence[str] = (),
    ) -> None:
        self.retry_after = retry_after
        self.down = down
        self.unsure = unsure
        self.for_good = for_good
        self.waiting = tuple(waiting)
        super().__init__(message)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` for the nearest known word, else the words there are.

    >>> did_you_mean("cutof", ["cutoff", "start"])
    '; did you mean "cutoff"?'
    """
    choices = sorted(set(known))
    near = difflib.get_close_matches(wrong, choices, n=1)
    if near:
        return f'; did you mean "{near[0]}"?'
    return f"; known: {', '.join(choices)}" if choices else ""
