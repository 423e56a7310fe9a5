"""`./hims metrics`: every figure of a stretch, with formula, denominator and the rows behind it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from include.errors import RequestError
from include.instants import format_instant, parse_instant
from include.ledger.connection import open_ledger
from include.output import print_json, print_line
from include.reports.metrics.scorecard import CAUTIONS, FAMILIES, Scorecard
from include.settings import load_settings

_LONGEST = timedelta(days=3660)
_USUAL = timedelta(days=90)
_ROWS_SHOWN = 200
_FIRST, _LAST = 1971, 2199


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the stretch, the service and the forms."""
    parser.add_argument(
        "--from", dest="start", metavar="T", help="first instant (default: 90 days before --to)"
    )
    parser.add_argument("--to", dest="end", metavar="T", help="end, exclusive (default: now)")
    parser.add_argument("--service", metavar="NAME", help="one service alone")
    parser.add_argument(
        "--as-of", metavar="T", help="only what the ledger knew before this instant (default: all)"
    )
    parser.add_argument("--rows", metavar="METRIC", help="show the rows behind one metric")
    parser.add_argument("--demo", action="store_true", help="ask the ledger of `demo-data`")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--prometheus", action="store_true", help="Prometheus text format")


def run(options: argparse.Namespace) -> int:
    """Print the metrics; exit status 1 when nothing at all happened in the stretch."""
    from include.reports.document import scorecard_document
    from include.reports.metrics.scorecard import score
    from include.reports.prometheus import exposition
    from include.reports.reading import read_facts
    from include.reports.surroundings import openings_of, systems_of

    start, end = _stretch(options)
    settings = load_settings()
    facts = read_facts(
        open_ledger(settings, demo=options.demo),
        start,
        end,
        as_of=None if options.as_of is None else parse_instant(options.as_of),
        asked_at=datetime.now(UTC),
        service=options.service,
        observed=settings.overall.reports.observed_for,
        systems=systems_of(settings, options.service),
        openings=openings_of(settings),
    )
    card = score(facts)
    if options.rows is not None and options.rows not in {metric.name for metric in card.metrics}:
        known = ", ".join(metric.name for metric in card.metrics)
        raise RequestError(f'there is no metric "{ascii(options.rows)[1:-1][:60]}": {known}')
    if options.json:
        print_json(scorecard_document(card))
    elif options.prometheus:
        print_line(exposition(card).rstrip("\n"))
    else:
        for line in lines(card, options.rows):
            print_line(line)
    return 0 if facts.changes or facts.deployments or facts.incidents else 1


def lines(card: Scorecard, rows: str | None = None) -> Iterator[str]:
    """Yield what people read: every family with its figures, or one figure with its rows."""
    facts = card.facts
    about = facts.service or "all services"
    yield f"{about}, {format_instant(facts.start)} to {format_instant(facts.end)}"
    if facts.as_of is not None:
        yield f"as the ledger knew it at {format_instant(facts.as_of)}"
    if rows is not None:
        metric = card[rows]
        yield ""
        yield f"{metric.title}: {metric.text}"
        yield f"  {metric.told}"
        yield f"  = {metric.formula}"
        for line in metric.rows[:_ROWS_SHOWN]:
            yield f"  {'✓' if line.counted else '·'} {line.id:<24} {line.why}"
        if len(metric.rows) > _ROWS_SHOWN:
            yield f"  … {len(metric.rows) - _ROWS_SHOWN:,} more with --json"
        return
    family = ""
    for metric in card.metrics:
        if metric.family != family:
            family = metric.family
            yield ""
            yield FAMILIES[family]
        yield f"  {metric.title:<32} {metric.text:>14}   {metric.told}"
    yield ""
    yield from CAUTIONS


def _stretch(options: argparse.Namespace) -> tuple[datetime, datetime]:
    end = datetime.now(UTC) if options.end is None else parse_instant(options.end)
    start = None if options.start is None else parse_instant(options.start)
    for name, instant in (("--from", start), ("--to", end)):
        if instant is not None and not _FIRST <= instant.year <= _LAST:
            raise RequestError(f"{name} lies between the years {_FIRST} and {_LAST}")
    start = end - _USUAL if start is None else start
    if end <= start:
        raise RequestError(
            f"--to {format_instant(end)} does not lie after --from {format_instant(start)}"
        )
    if end - start > _LONGEST:
        raise RequestError("--from and --to are more than ten years apart")
    return start, end
