"""Regular jobs as tasks: one mapped task per service or backup."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from release_control import connections
from release_control.boarding import now, source_of
from release_control.courier import deliver_after
from release_control.names import named
from release_control.operators.plan import run_state
from release_control.vendors import vendor

if TYPE_CHECKING:
    from include.upkeep.upkeep import Upkeep


def job_of(context: Mapping[str, Any]) -> Upkeep:
    """Return what a regular job works with."""
    from include.ledger import Actor
    from include.settings import load_settings
    from include.upkeep.upkeep import Upkeep

    ti = context["ti"]
    return Upkeep(
        ledger=connections.ledger(),
        settings=load_settings(),
        actor=Actor.service(ti.dag_id),
        source=source_of(context),
        clock=now,
        secrets=connections.database_url,
        vendor=vendor,
        run_state=lambda dag_id, run_id: run_state(ti, dag_id, run_id),
    )


class ServiceUpkeepOperator(BaseOperator):
    """Runs `include.upkeep.<module>.<function>` for one service; drift ends it red."""

    def __init__(self, *, job: str, service: str, **kwargs: Any) -> None:
        super().__init__(**named(job.partition(".")[2], kwargs))
        self.job = job
        self.service = service

    def execute(self, context: Any) -> dict[str, str]:
        """Do the job and say how the service was found."""
        job = job_of(context)
        module, _, function = self.job.partition(".")
        work = getattr(importlib.import_module(f"include.upkeep.{module}"), function)
        with deliver_after(job.ledger):
            found = work(job, job.settings.service(self.service))
        if found.reason == "drift":
            raise AirflowFailException(found.message)
        self.log.info("%s: %s", found.reason, found.message)
        return {"reason": found.reason, "message": found.message}


class NewestBackupsOperator(BaseOperator):
    """Returns one set of arguments for `DrillOperator` per database that was ever backed up."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("find_newest_backups", kwargs))

    def execute(self, context: Any) -> list[dict[str, str]]:
        """Return the newest proven backup of each database."""
        from include.upkeep.drill import newest_backups

        return [{"backup": key} for key in newest_backups(job_of(context))]


class DrillOperator(BaseOperator):
    """Restores one backup into scratch and compares it; one that fails ends red."""

    def __init__(self, *, backup: str = "", **kwargs: Any) -> None:
        super().__init__(**named("restore_and_compare", kwargs))
        self.backup = backup

    def execute(self, context: Any) -> str:
        """Return what was found."""
        from include.upkeep.drill import drill

        ok, message = drill(job_of(context), self.backup)
        if not ok:
            raise AirflowFailException(message)
        return str(message)


class PruneBackupsOperator(BaseOperator):
    """Deletes backups whose retention is over, never the last one of a database."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**named("prune_backups", kwargs))

    def execute(self, context: Any) -> list[str]:
        """Return the ids of what was deleted."""
        from include.releases.phases.looking import ENVIRONMENT
        from include.upkeep.drill import prune

        job = job_of(context)
        return list(prune(job, job.settings.environment(ENVIRONMENT).backup_retention))
