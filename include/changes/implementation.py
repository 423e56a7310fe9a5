"""What implements a change, as its request declares it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from include.changes.words import Line, Name
from include.documents import Section

Sha256 = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class ManualWork(Section):
    """People do it, and a named one of them says that it is done."""

    kind: Literal["manual"]
    steps: tuple[Line, ...] = ()


class RunbookWork(Section):
    """The steps of a reviewed file under config/runbooks, with these parameters."""

    kind: Literal["runbook"]
    runbook: Name
    parameters: dict[Name, str | int | bool] = Field(default_factory=dict)


class DagWork(Section):
    """Another Dag, run once with this conf."""

    kind: Literal["dag"]
    dag_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
    conf: dict[str, JsonValue] = Field(default_factory=dict)


class FlagWork(Section):
    """One feature flag of a service set to a value."""

    kind: Literal["flag"]
    service: Name
    environment: Name = "production"
    flag: Name
    value: bool | str | int


class TerraformWork(Section):
    """A saved Terraform plan, applied only if its file is exactly the one approved."""

    kind: Literal["terraform"]
    directory: Line
    plan: Line
    plan_sha256: Sha256


class ModelWork(Section):
    """Nothing in production: the board approves a standard model of the catalogue."""

    kind: Literal["model"]
    model: Name


Implementation = Annotated[
    ManualWork | RunbookWork | DagWork | FlagWork | TerraformWork | ModelWork,
    Field(discriminator="kind"),
]


def described(work: dict[str, Any]) -> str:
    """Return in a few words what a declared implementation does."""
    match work.get("kind"):
        case "runbook":
            return f"runbook {work['runbook']} ({len(work.get('steps', ()))} steps)"
        case "dag":
            conf = json.dumps(work.get("conf") or {}, ensure_ascii=False, sort_keys=True)
            return f"Dag {work['dag_id']} with {conf if len(conf) <= 2000 else conf[:1999] + '…'}"
        case "flag":
            return f"{work['service']}/{work['environment']}: {work['flag']} = {work['value']}"
        case "terraform":
            return f"Terraform plan {work['plan_sha256'][:19]}… in {work['directory']}"
        case "model":
            return f"approval of the standard model {work['model']}"
        case _:
            return "by hand"
