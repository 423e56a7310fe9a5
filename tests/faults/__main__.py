"""`python -m tests.faults [--strategy S] [--part P] [--moment M] [--round N]`: kill and look.

Each train on a real stack meets one kill at every moment of its deploy, so that twelve trains take
the whole matrix; with `--alone` each kill has a train of its own. Exit status 0 if every train
ended as it has to: one switch, right traffic, no lost record, finished or rolled back by itself.
`--show FILE…` prints the table of earlier runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from include.output import print_line, print_progress
from include.settings import ROOT
from tests.e2e.station import Station
from tests.faults.matrix import (
    MOMENTS,
    PARTS,
    STRATEGIES,
    Cell,
    Found,
    cells,
    run_train,
    trains,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cells that are asked for, all of them by default, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--strategy", choices=STRATEGIES)
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--moment", choices=MOMENTS)
    parser.add_argument(
        "--round", type=int, action="append", choices=range(1, len(PARTS) + 1), dest="rounds"
    )
    parser.add_argument("--alone", action="store_true", help="one kill per train")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there too")
    parser.add_argument("--show", type=Path, nargs="+", metavar="FILE", help="run nothing")
    options = parser.parse_args(argv)
    if options.show:
        print_line(table([item for path in options.show for item in _read(path)]))
        return 0
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(130))
    wanted = trains(
        [
            cell
            for cell in cells()
            if options.strategy in (None, cell.strategy)
            and options.part in (None, cell.part)
            and options.moment in (None, cell.moment)
            and (not options.rounds or cell.round in options.rounds)
        ],
        alone=options.alone,
    )
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="hims-faults-") as home:
        station = Station(Path(home))
        try:
            status, _, said = station.run("up")
            if status:
                print_progress(said)
                return 2
            for number, kills in enumerate(wanted, start=1):
                what = ", ".join(f"{cell.part} after {cell.moment}" for cell in kills)
                print_progress(f"{number}/{len(wanted)}: {kills[0].strategy}: {what}")
                found.append(run_train(station, kills))
                if options.json:
                    # After each train: what was found is not lost with a run that is stopped.
                    options.json.write_text(_written(found), encoding="utf-8")
        finally:
            station.stop()
    print_line(table(found))
    return 0 if all(not item.problems for item in found) else 1


def table(found: Sequence[Found]) -> str:
    """Return one line per kill, and what went wrong with its train below."""
    lines = [
        f"{'strategy':<11} {'killed':<19} {'after':<23} {'at':>6}  {'train ended':<12} "
        f"{'after':>6}  as it has to"
    ]
    for item in found:
        good = "yes" if not item.problems else "NO"
        for cell in item.cells:
            at = f"{item.killed[cell]:.0f} s" if cell in item.killed else "never"
            lines.append(
                f"{cell.strategy:<11} {cell.part:<19} {cell.moment:<23} {at:>6}  "
                f"{item.outcome:<12} {item.seconds:>4.0f} s  {good}"
            )
        lines += [f"    {problem}" for problem in item.problems]
    kills = sum(len(item.killed) for item in found)
    bad = sum(bool(item.problems) for item in found)
    said = f"{kills} kills in {len(found)} trains, {len(found) - bad} ended as they have to"
    return "\n".join([*lines, "", said])


def _written(found: Sequence[Found]) -> str:
    document = [
        {
            "outcome": item.outcome,
            "seconds": round(item.seconds),
            "problems": item.problems,
            "kills": [{**asdict(cell), "at": item.killed.get(cell)} for cell in item.cells],
        }
        for item in found
    ]
    return json.dumps(document, indent=2) + "\n"


def _read(path: Path) -> list[Found]:
    found = []
    for item in json.loads(path.read_text(encoding="utf-8")):
        kills = {
            Cell(strategy=one["strategy"], moment=one["moment"], part=one["part"]): one["at"]
            for one in item["kills"]
        }
        found.append(
            Found(
                cells=tuple(kills),
                outcome=item["outcome"],
                seconds=item["seconds"],
                killed={cell: at for cell, at in kills.items() if at is not None},
                problems=item["problems"],
            )
        )
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "plugins"))
    raise SystemExit(main())
