"""`./hims rehearse`: one whole release train in minutes, against real parts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from include.deploy.strategy import STRATEGIES
from include.errors import RequestError, StackError, did_you_mean
from include.ledger.connection import open_ledger
from include.output import print_json, print_progress
from include.rehearsal.cast import Cast
from include.rehearsal.outages import OUTAGES, Outage, known_faults
from include.rehearsal.rehearsal import Rehearsal, Rehearsed
from include.rehearsal.sample import next_version
from include.rehearsal.timeline import Timeline
from include.rehearsal.work import add_fix, add_work, present_faults
from include.releases.repository import Repository
from include.releases.versions import ReleaseType, Version, type_of
from include.settings import Settings, load_settings
from include.stack.inspection import inspect

SAMPLE = "hims-api"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("service", nargs="?", help=f"the service (default: {SAMPLE})")
    parser.add_argument("version", nargs="?", help="the version (default: the next minor one)")
    parser.add_argument(
        "--type",
        choices=[str(one) for one in ReleaseType],
        help="the release type (default: what the version's number suggests)",
    )
    parser.add_argument("--ask", action="store_true", help="let people answer in the UI")
    parser.add_argument(
        "--strategy", choices=STRATEGIES, default=STRATEGIES[0], help="how traffic is led over"
    )
    parser.add_argument(
        "--fault", metavar="NAME", help=f"let this go wrong: {', '.join(known_faults())}"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Return 0 only if production serves the new version and the ledger says released."""
    settings = load_settings()
    _require_sense(options, settings)
    if not inspect(settings).healthy:
        raise StackError("not everything runs; `./hims status` says what, `./hims up` starts it")
    outage = Outage(options.fault, settings) if options.fault in OUTAGES else None
    service, version, release_type = _chosen(options, settings)
    ledger, cast = open_ledger(settings), Cast(settings)
    line = Timeline(sys.stderr if options.json else sys.stdout)

    def hear(record: Mapping[str, Any]) -> None:
        line.record(record)
        if outage is not None:
            outage.hear(record)

    rehearsal = Rehearsal(
        settings,
        ledger,
        cast,
        say=hear,
        answers=line.leave_to_people if options.ask else _yes,
    )
    conf = {
        "service": service,
        "version": version,
        "release_type": str(release_type),
        "target_window": None,
        "strategy": options.strategy,
        "rehearsal": True,
    }
    run_id = rehearsal.start(conf)
    url = settings.run_url("release_train", run_id)
    line.title(service, version, options.strategy, url)
    try:
        ended = rehearsal.follow(f"{service}-{version}", run_id)
    except KeyboardInterrupt:
        print_progress(
            f"interrupted: the train goes on, and from here nobody answers its questions: {url}"
        )
        raise
    finally:
        if outage is not None:
            outage.end()
    line.end(ended, version)
    if options.json:
        print_json(_document(ended))
    return 0 if ended.outcome == "released" and ended.served_version == version else 1


def _require_sense(options: argparse.Namespace, settings: Settings) -> None:
    """Raise RequestError for what no running stack would make sense of."""
    if options.fault is not None and options.fault not in known_faults():
        hint = did_you_mean(options.fault, known_faults())
        raise RequestError(f'--fault: there is no "{options.fault[:40]}"{hint}')
    # An empty word is a variable that was not set, and no wish for whatever comes next.
    if options.version is not None:
        Version.parse(options.version)
    name = SAMPLE if options.service is None else options.service
    placement = settings.service(name).environments["production"].target
    if placement != "local":
        raise RequestError(
            f"{name} runs production on {placement}, where this command can't see what people "
            "are served; trigger release_train with rehearsal in the UI instead"
        )
    if name != SAMPLE:
        if not options.version:
            raise RequestError("say which version: ./hims rehearse SERVICE VERSION")
        if options.fault:
            raise RequestError(f"--fault needs the sample service, {SAMPLE}")


def _chosen(options: argparse.Namespace, settings: Settings) -> tuple[str, str, ReleaseType]:
    """Return what to release; the sample gets something new to release where it has nothing."""
    name = SAMPLE if options.service is None else options.service
    path = settings.path(settings.service(name).repository.path)
    version = Version.parse(options.version or next_version(path))
    release_type = ReleaseType(options.type) if options.type else type_of(version)
    if name == SAMPLE:
        _give_work(path, release_type, options.fault if options.fault not in OUTAGES else None)
    return name, str(version), release_type


def _give_work(path: Path, release_type: ReleaseType, fault: str | None) -> None:
    """See to it that the branch which this type is cut from holds something unreleased."""
    if fault and not release_type.takes_features:
        raise RequestError(f"a {release_type} is cut from main; --fault works on develop alone")
    branch = "develop" if release_type.takes_features else "main"
    repository = Repository(path)
    newest = max(
        (found for tag in repository.tags() if (found := Version.from_tag(tag.name)) is not None),
        default=None,
    )
    unreleased = newest is None or any(
        not commit.is_merge for commit in repository.commits(newest.tag, branch)
    )
    if not release_type.takes_features:
        if not unreleased:
            add_fix(path)
    elif fault or not unreleased or present_faults(path):
        add_work(path, fault=fault)


def _yes(task_id: str, question: Mapping[str, Any]) -> tuple[str, str]:
    return str(question["options"][0]), "rehearsal"


def _document(ended: Rehearsed) -> Mapping[str, Any]:
    return {
        "release": ended.release,
        "outcome": ended.outcome,
        "message": ended.message,
        "dag_id": "release_train",
        "run_id": ended.run_id,
        "served_version": ended.served_version,
        "seconds": ended.seconds,
        "steps": list(ended.steps),
    }
