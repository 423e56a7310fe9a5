"""Where a service runs in a cloud: `ecs`, `kubernetes` and `rds` of a place in config/services."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from include.documents import Section
from include.fields import Duration


class SlotNames(Section):
    """What each slot is called."""

    blue: str
    green: str


class EcsNative(Section):
    """Lets ECS move the traffic itself, in deployments that pause for our answers.

    `rule` is the production listener's rule whose target groups ECS weighs. With `canary_percent`
    that share comes first, else all at once. A pause that nobody answers in `answer_minutes` is
    rolled back; the old revision is kept for `keep_minutes` at most (14 days are ECS's limit).
    """

    rule: str
    canary_percent: int | None = Field(default=None, ge=1, le=99)
    answer_minutes: int = Field(default=1440, ge=1, le=20160)
    keep_minutes: int = Field(default=20160, ge=1, le=20160)


class Ecs(Section):
    """Two ECS services behind one listener of an Application Load Balancer.

    `image` is the repository without tag, as the artefact is deployed by its digest alone.
    `addresses` reach a slot past the people's listener (a test listener or internal name). With
    `native` it is one ECS service with two target groups, whose traffic ECS moves.
    """

    cluster: str
    services: SlotNames
    target_groups: SlotNames
    listener: str = ""
    container: str
    image: str
    addresses: SlotNames
    frontend: str
    tasks: int = Field(default=2, ge=1)
    load_balancer: str = ""
    native: EcsNative | None = None

    @model_validator(mode="after")
    def _one_service_of_its_own(self) -> Ecs:
        if self.native is None and not self.listener:
            message = "two services need the listener that shares traffic out between them"
            raise ValueError(message)
        if self.native is not None and self.services.blue != self.services.green:
            message = "ECS's own deployments have one service: name it for blue and for green"
            raise ValueError(message)
        return self


class Helm(Section):
    """Lets Helm own the Deployments: `releases` name the release of each slot, `chart` is a folder
    or an address (oci://…) that Helm knows."""

    chart: str
    releases: SlotNames
    chart_version: str = ""
    program: str = "helm"


class Kubernetes(Section):
    """Two Deployments; an HTTPRoute of the Gateway API gives each its share of the traffic.

    `services` are the Services that the route leads to; `addresses` reach one slot alone. With
    `helm` the Deployments are a chart's, and are changed through it.
    """

    deployments: SlotNames
    services: SlotNames
    route: str
    container: str
    image: str
    addresses: SlotNames
    frontend: str
    replicas: int = Field(default=2, ge=1)
    helm: Helm | None = None


_IDENTIFIER = r"^([a-z](-?[a-z0-9])*)?$"


class Rds(Section):
    """The Amazon RDS instance or Aurora cluster that holds the database; its backups are snapshots.

    A snapshot is proven in a scratch instance of `scratch_class`, by default the class of the
    source. `wait` bounds a snapshot, and a restore of one, each for itself.
    """

    instance: str = Field(default="", pattern=_IDENTIFIER, max_length=63)
    cluster: str = Field(default="", pattern=_IDENTIFIER, max_length=63)
    scratch_class: str = ""
    wait: Duration = Field(default=timedelta(hours=1), gt=timedelta(0))

    @property
    def name(self) -> str:
        """Return the identifier of what is backed up."""
        return self.cluster or self.instance

    @property
    def shown(self) -> str:
        """Return what is backed up, for messages."""
        return f"{'Aurora cluster' if self.cluster else 'RDS instance'} {self.name}"

    @model_validator(mode="after")
    def _one_of_them(self) -> Rds:
        if bool(self.instance) == bool(self.cluster):
            message = "name the instance, or the cluster of Aurora"
            raise ValueError(message)
        return self
