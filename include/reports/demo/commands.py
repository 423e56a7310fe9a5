"""`./hims demo-data`: a made-up history in a ledger of its own, with its truth beside it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import EISDIR
from pathlib import Path

from include.errors import LedgerError, RequestError
from include.instants import format_instant, parse_instant
from include.ledger import Ledger
from include.output import print_json, print_line, print_progress
from include.settings import Settings, load_settings

_MOST_YEARS = 10
_FIRST, _LAST = 1990, 2190


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how much history, from which seed, up to when."""
    parser.add_argument("--years", type=int, default=2, metavar="N", help="1 to 10 (default: 2)")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the same seed, the same history"
    )
    parser.add_argument(
        "--until", metavar="T", help="where the history ends (default: midnight UTC today)"
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="where the truth goes (default: demo/truth.json)"
    )
    parser.add_argument(
        "--again", action="store_true", help="throw the demo ledger of this machine away first"
    )
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """Fill an empty ledger: the one of $AIRFLOW_CONN_RELEASE_CONTROL_DB, else `ledger_demo`."""
    from include.reports.demo.history import make_history
    from include.reports.demo.truth import truth_document
    from include.reports.demo.writing import write_history

    if not 1 <= options.years <= _MOST_YEARS:
        raise RequestError(f"--years is 1 to {_MOST_YEARS}, not {options.years}")
    settings = load_settings()
    end = (
        datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if options.until is None
        else parse_instant(options.until)
    )
    if not _FIRST <= end.year <= _LAST:
        raise RequestError(f"--until lies between the years {_FIRST} and {_LAST}")
    ledger, ours = _ledger(settings, again=options.again)
    history = make_history(years=options.years, seed=options.seed, end=end)
    path = options.truth or settings.state_dir / "demo" / "truth.json"
    document = truth_document(history, seed=options.seed)
    # A history goes into an empty ledger alone: one without its truth could not be made again.
    with _kept(path, json.dumps(document, indent=1) + "\n"):
        write_history(ledger, history, progress=_progress)
    if options.json:
        print_json(
            {
                "changes": len(history.changes),
                "releases": len(history.releases),
                "incidents": len(history.incidents),
                "from": history.start,
                "to": history.end,
                "ledger": "ledger_demo" if ours else "AIRFLOW_CONN_RELEASE_CONTROL_DB",
                "truth": str(path),
            }
        )
        return 0
    print_line(
        f"{len(history.changes):,} changes, {len(history.releases)} releases and "
        f"{len(history.incidents)} incidents from {format_instant(history.start)} to "
        f"{format_instant(history.end)}"
    )
    print_line(f"the truth about them: {path}")
    if ours:
        print_line("ask it with: ./hims metrics --demo, ./hims report monthly --demo")
    return 0


@contextmanager
def _kept(path: Path, text: str) -> Iterator[None]:
    """Write a file that is there once the block is done; one that cannot be written begins none."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(EISDIR, "it is a directory")
        part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _ledger(settings: Settings, *, again: bool) -> tuple[Ledger, bool]:
    url = os.environ.get("AIRFLOW_CONN_RELEASE_CONTROL_DB")
    if url and "://" in url:
        if again:
            raise RequestError("--again is for this machine's demo ledger, not for one by URL")
        return Ledger(url.replace("postgres://", "postgresql://", 1)), False
    from psycopg import OperationalError

    from include.ledger.migrations import upgrade
    from include.stack.databases import ensure_demo_ledger
    from include.stack.secrets import load_secrets

    secrets = load_secrets(settings.state_dir)
    if secrets is None:
        raise LedgerError(
            "there is no PostgreSQL on this machine yet: run `./hims up`, or set "
            "AIRFLOW_CONN_RELEASE_CONTROL_DB to the URL of an empty ledger"
        )
    port = settings.overall.ports.postgres
    try:
        ensure_demo_ledger(settings, secrets, again=again)
    except OperationalError as error:
        raise LedgerError(
            "this machine's PostgreSQL does not answer; run `./hims up` first"
        ) from error
    upgrade(secrets.database_url("ledger_owner", "ledger_demo", port), app_role="ledger_app")
    return Ledger(secrets.database_url("ledger_app", "ledger_demo", port), keep=1), True


def _progress(done: int) -> None:
    if done % 500 == 0:
        print_progress(f"{done:,} changes")
