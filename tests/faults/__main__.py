"""`python -m tests.faults [--strategy S] [--part P] [--moment M] [--json FILE]`: kill and look.

Each cell is a whole release train on a real stack, of which one part is killed at one moment. Exit
status 0 if every cell ended as it has to: one switch, right traffic, no lost record, and the train
finished or rolled back by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from include.output import print_line, print_progress
from include.settings import ROOT
from tests.e2e.station import Station
from tests.faults.matrix import MOMENTS, PARTS, STRATEGIES, Found, cells, run_cell


def main(argv: Sequence[str] | None = None) -> int:
    """Run the cells that are asked for, all of them by default, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--strategy", choices=STRATEGIES)
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--moment", choices=MOMENTS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there too")
    options = parser.parse_args(argv)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    wanted = [
        cell
        for cell in cells()
        if options.strategy in (None, cell.strategy)
        and options.part in (None, cell.part)
        and options.moment in (None, cell.moment)
    ]
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="hims-faults-") as home:
        station = Station(Path(home))
        try:
            status, _, said = station.run("up")
            if status:
                print_progress(said)
                return 2
            for number, cell in enumerate(wanted, start=1):
                what = f"{cell.part} dies after {cell.moment} ({cell.strategy})"
                print_progress(f"{number}/{len(wanted)}: {what}")
                found.append(run_cell(station, cell))
        finally:
            station.stop()
    print_line(table(found))
    if options.json:
        document = [asdict(item) for item in found]
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if all(not item.problems for item in found) else 1


def table(found: Sequence[Found]) -> str:
    """Return one line per cell, and what went wrong below it."""
    lines = [
        f"{'strategy':<11} {'killed':<19} {'after':<23} {'ended':<12} {'took':>6}  as it has to"
    ]
    for item in found:
        cell = item.cell
        good = "yes" if not item.problems else "NO"
        lines.append(
            f"{cell.strategy:<11} {cell.part:<19} {cell.moment:<23} {item.outcome:<12} "
            f"{item.seconds:>4.0f} s  {good}"
        )
        lines += [f"    {problem}" for problem in item.problems]
    bad = sum(bool(item.problems) for item in found)
    return "\n".join([*lines, f"\n{len(found)} kills, {len(found) - bad} ended as they have to"])


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "plugins"))
    raise SystemExit(main())
