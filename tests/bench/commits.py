"""How long `./hims freeze check` takes to judge a long history, against git telling it alone."""

from __future__ import annotations

import random
import subprocess
import tempfile
from pathlib import Path

from include.output import print_progress
from tests.bench.figures import Figure
from tests.bench.processes import hims, processor_seconds

COUNT = 5_000
REPEATS = 3


def figures() -> list[Figure]:
    """Judge five thousand commits in a process of its own; processor time, git's included."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        base = _history(path)
        print_progress("  judging commits")
        check = hims(
            "freeze", "check", "--repo", str(path), "--base", base, "--head", "main",
            "--phase", "feature", "--json",
        )  # fmt: skip
        told = ["git", "-C", str(path), "log", "--format=%H%x00%P%x00%B", f"{base}..main"]
        return [
            Figure(
                name=f"freeze check of {COUNT:,} commits, the whole process",
                ours=processor_seconds(check, repeats=REPEATS, status=1),
                peer=processor_seconds(told, repeats=REPEATS),
                most=5.0,
                note="beside it: git telling the same messages",
            )
        ]


def _history(path: Path) -> str:
    """Make the commits, merges and long messages among them; return the first."""
    chance = random.Random(COUNT)
    stream = []
    for number in range(1, COUNT + 2):
        kind = chance.choice(["feat", "fix", "docs", "chore", "perf", "feat!", "no type"])
        message = f"{kind}: change {number}\n\n" + "A line.\n" * chance.randint(0, 20)
        parents = f"from :{number - 1}\n" if number > 1 else ""
        if number > 5 and number % 10 == 0:
            parents += f"merge :{number - 5}\n"
        stream.append(
            f"commit refs/heads/main\nmark :{number}\n"
            f"committer A <a@example.org> {1_770_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n{parents}"
        )
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=path, input="".join(stream).encode(), check=True
    )
    roots = ["git", "-C", str(path), "rev-list", "--max-parents=0", "main"]
    return subprocess.run(roots, check=True, capture_output=True, text=True).stdout.strip()
