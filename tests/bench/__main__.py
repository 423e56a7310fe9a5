"""`python -m tests.bench [NAME…] [--json FILE]`: measure, and hold the figures against the goals.

Exit status 0 if every goal is met, 1 if not. Wants a quiet machine; the load is in the output.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from include.output import print_line, print_progress
from include.settings import ROOT
from tests.bench import (
    answers,
    calendar,
    commits,
    conflicts,
    gates,
    hops,
    ledger,
    notices,
    opening,
    parse,
    power,
    reports,
    switching,
    timetables,
    waiting,
)
from tests.bench.figures import Figure, table
from tests.bench.stand import STOCK_EXECUTOR, load, stand, stock_scheduler
from tests.bench.trains import travel

NAMES = (
    "calendar", "timetables", "commits", "parse", "ledger", "reports", "notices", "opening", "hops",
    "answer", "gates", "power", "switch", "conflicts", "waiting",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for, all of it by default, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--repeats",
        type=int,
        default=6,
        metavar="N",
        help="trains, chains, openings, rounds of appends (6)",
    )
    parser.add_argument(
        "--records", type=int, default=ledger.RECORDS, metavar="N", help="in the ledger (1000000)"
    )
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if options.repeats < 1:
        parser.error("--repeats is at least 1")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, _interrupt)
    before = load()
    try:
        found = measure(set(options.names or NAMES), options.repeats, options.records)
    except KeyboardInterrupt:
        print_progress("interrupted; everything that was started is stopped")
        return 130
    print_line(table(found))
    for name, meaning in (("hops", hops.MEANING), ("opening", opening.MEANING)):
        if name in set(options.names or NAMES):
            print_line(f"\n{meaning}")
    print_line(f"\nload average before {before:.1f}, after {load():.1f}, {os.cpu_count()} cores")
    if options.json:
        document = {
            "figures": [figure.document() for figure in found],
            "load_before": before,
            "load_after": load(),
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figure.met is not False for figure in found) else 1


def measure(names: set[str], repeats: int, records: int = ledger.RECORDS) -> list[Figure]:
    """Return the figures of `names`. One stack at a time, so that none disturbs another."""
    found: list[Figure] = []
    if "calendar" in names:
        print_progress("the calendar")
        found += calendar.figures()
    if "timetables" in names:
        print_progress("the schedules")
        found += timetables.figures()
    if "commits" in names:
        print_progress("a long history")
        found += commits.figures()
    if "parse" in names:
        print_progress("parsing")
        found += parse.figures()
    if "power" in names:
        print_progress("the judge's power")
        found += power.figures()
    if "switch" in names:
        print_progress("switches under load")
        found += switching.figures()
    if "ledger" in names:
        print_progress("the ledger")
        found += ledger.figures(records, repeats)
    if "reports" in names:
        print_progress("the monthly report")
        found += reports.figures(records)
    if "notices" in names:
        print_progress("a long queue of notices")
        found += notices.figures()
    if "conflicts" in names:
        print_progress("the conflict check")
        found += conflicts.figures()
    if "waiting" in names:
        print_progress("changes that wait")
        found += waiting.figures(repeats)
    if "opening" in names:
        with stand("windows that open", prepare=opening.open_often) as often:
            found += opening.figures(opening.run_openings(often, repeats))
    timed = names & {"hops", "answer"}
    if not timed and "gates" not in names:
        return found
    journeys, chains, same = [], [], []
    with stand("our settings") as ours:
        for _ in range(repeats if timed else 0):
            chains.append(hops.run_chain(ours))
            journeys.append(travel(ours))
            if "answer" in names:
                same += answers.run_approvals(ours)
        upstream = hops.upstream_of_train(ours)
        ours_gates = gates.run_gates(ours) if "gates" in names else None
    if timed:
        stock_chains, stock_answers = [], []
        with stand("stock settings, stock executor", stock_scheduler()) as stock:
            for _ in range(repeats):
                if "hops" in names:
                    stock_chains.append(hops.run_chain(stock))
                if "answer" in names:
                    stock_answers += answers.run_approvals(stock)
        if "hops" in names:
            train = hops.train_hops(journeys, upstream)
            found += hops.figures(train, hops.together(chains), hops.together(stock_chains))
        if "answer" in names:
            delays = answers.train_delays(journeys, upstream)
            found += answers.figures(delays, same, stock_answers)
    if ours_gates is not None:
        with stand("our settings, stock executor", STOCK_EXECUTOR) as tuned:
            found += gates.figures(ours_gates, gates.run_gates(tuned))
    return found


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # So that Airflow's provider of executors and plugins is found as the stack finds it.
    sys.path.insert(0, str(ROOT / "plugins"))
    raise SystemExit(main())
