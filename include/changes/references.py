"""What a request names beyond words: a runbook, a model, a flag, with what each of them takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from include.changes.implementation import DagWork, FlagWork, Implementation, ModelWork, RunbookWork
from include.changes.parameter import PLACE, Value, parameter_objections
from include.changes.runbook import load_runbook, runbook_names
from include.changes.standard import load_model, model_names
from include.configuration.clear_secret import clear_secrets
from include.configuration.resolved import resolve
from include.errors import InputError, did_you_mean
from include.settings import Settings

# A change that started one of these would wait for itself, or drive others past their boards.
_OURS = frozenset((
    "cab_ballot", "change_implementation", "change_request", "change_window", "granted_windows",
    "urgent_changes",
))  # fmt: skip

Path = tuple[str | int, ...]
# Where in the request, and what is wrong there.
Objection = tuple[Path, str]


def objections_to_work(
    work: Implementation, settings: Settings, systems: Iterable[str]
) -> Iterator[Objection]:
    """Return what an implementation names that does not exist, or is not taken there."""
    if isinstance(work, RunbookWork):
        yield from _runbook(work, settings)
    elif isinstance(work, DagWork):
        if work.dag_id in _OURS:
            message = f"{work.dag_id} is how changes are handled; it implements none"
            yield ("dag_id",), message
    elif isinstance(work, FlagWork):
        yield from _flag(work, settings)
    elif isinstance(work, ModelWork):
        yield from _model(work.model, settings, systems)


def objections_to_model(
    name: str, parameters: Mapping[str, Value], settings: Settings, systems: Iterable[str]
) -> Iterator[Objection]:
    """Return what keeps a standard change from following the model that it names."""
    bad = list(_model(name, settings, systems))
    yield from bad
    if not bad:
        for key, message in parameter_objections(load_model(settings, name).parameters, parameters):
            yield ("parameters", key), message


def _model(name: str, settings: Settings, systems: Iterable[str]) -> Iterator[Objection]:
    """Return why a model is of no use, whatever is filled into it."""
    known = model_names(settings)
    bad = list(_unless_usable(("model",), name, "standard model", settings, known))
    yield from bad
    if bad:
        return
    model = load_model(settings, name)
    for system in model.systems:
        if system not in systems:
            said = f'"{system[:60]}" is no system{did_you_mean(system[:60], systems)}'
            yield ("model",), f"the standard model cannot be used: systems: {said}"
    for path, message in objections_to_work(model.implementation, settings, systems):
        if not _filled_later(model.implementation, path):
            where = ".".join(str(step) for step in ("implementation", *path))
            yield ("model",), f"the standard model cannot be used: {where}: {message}"


def _filled_later(work: Implementation, path: Path) -> bool:
    """Return whether what is said of this place depends on what a change fills in there."""
    here: object = work.model_dump(mode="json")
    for step in path:
        here = here.get(step) if isinstance(here, dict) else None
    return isinstance(here, str) and PLACE.search(here) is not None


def _runbook(work: RunbookWork, settings: Settings) -> Iterator[Objection]:
    known = runbook_names(settings)
    bad = list(_unless_usable(("runbook",), work.runbook, "runbook", settings, known))
    yield from bad
    if not bad:
        book = load_runbook(settings, work.runbook)
        for key, message in parameter_objections(book.parameters, work.parameters):
            yield ("parameters", key), message


def _flag(work: FlagWork, settings: Settings) -> Iterator[Objection]:
    if work.service not in settings.services:
        said = did_you_mean(work.service[:60], settings.services)
        yield ("service",), f'"{work.service[:60]}" is no service of config/services{said}'
        return
    try:
        environments = settings.service(work.service).environments
        if work.environment not in environments:
            said = did_you_mean(work.environment[:60], environments)
            message = f'{work.service} has no environment "{work.environment[:60]}"{said}'
            yield ("environment",), message
            return
        values = resolve(settings, work.service, work.environment).values
    except InputError as error:
        yield ("service",), f"cannot be used: {error}"
        return
    flags = values.get("features")
    flags = flags if isinstance(flags, Mapping) else {}
    if work.flag not in flags:
        said = did_you_mean(work.flag[:60], flags)
        message = f'no level of config/values declares the flag "{work.flag[:60]}"{said}'
        yield ("flag",), message
    elif isinstance(flags[work.flag], bool) and not isinstance(work.value, bool):
        yield ("value",), f"must be true or false, as {work.flag} is now"
    for _, message in clear_secrets(work.flag, work.value):
        yield ("value",), message


def _unless_usable(
    path: Path, name: str, what: str, settings: Settings, known: Iterable[str]
) -> Iterator[Objection]:
    if name not in known:
        yield path, f'there is no {what} "{name[:60]}"{did_you_mean(name[:60], known)}'
        return
    load = load_model if what == "standard model" else load_runbook
    try:
        load(settings, name)
    except InputError as error:
        yield path, f"the {what} cannot be used: {error}"
