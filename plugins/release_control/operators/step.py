"""One step of a release train as a task.

The step is named, not imported: a Dag file parses without loading the domain. What may be tried
again (the world was broken) is left to Airflow's retries; what is a no ends the task at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from release_control.boarding import arrive, board
from release_control.courier import deliver_after
from release_control.names import named

if TYPE_CHECKING:
    from include.releases.train import Done, Train

PHASES = "include.releases.phases"


class StepOperator(BaseOperator):
    """Runs `include.releases.phases.<phase>.<function>` on the train that this run drives.

    An `optional` step is skipped where the run drives none: a request that was refused at once
    shall not look like a vote or a way back that failed. The run's last word still ends it red.

    What the step's no leads to is `otherwise`: it is begun here, since the task that is there for
    it starts only seconds after this one has failed. It finishes what was not finished here.
    """

    def __init__(
        self, *, step: str, otherwise: str | None = None, optional: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**named(step.partition(".")[2], kwargs))
        self.step = step
        self.otherwise = otherwise
        self.optional = optional

    def execute(self, context: Any) -> dict[str, Any]:
        """Do the step once for this release, record how it ended, and tell people."""
        from include.errors import FencedOff, InputError, RecordMissing, ReleaseControlError

        try:
            train = board(context)
        except AirflowFailException as error:
            if self.optional and isinstance(error.__cause__, RecordMissing):
                raise AirflowSkipException(str(error)) from error
            raise
        with deliver_after(train.ledger):
            try:
                done = load_step(self.step)(train)
                if not done.ok and self.otherwise is not None:
                    self._begin(self.otherwise, train)
                return arrive(done)
            except (InputError, RecordMissing, FencedOff) as error:
                raise AirflowFailException(str(error)) from error
            except (AirflowException, ReleaseControlError, OSError):
                raise
            except Exception as error:
                # A defect of ours: trying again would only spend the window.
                message = f"{self.step} broke: {type(error).__name__}: {error}"
                raise AirflowFailException(message) from error

    def _begin(self, otherwise: str, train: Train) -> None:
        try:
            load_step(otherwise)(train)
        except Exception:
            # The step's no is what this task has to tell, whatever becomes of it.
            self.log.exception("%s was begun here and is left to its own task", otherwise)


def load_step(step: str) -> Callable[[Train], Done]:
    """Return the domain's function for `phase.function`."""
    phase, _, function = step.partition(".")
    found: Callable[[Train], Done] = getattr(importlib.import_module(f"{PHASES}.{phase}"), function)
    return found
