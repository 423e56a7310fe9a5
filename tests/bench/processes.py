"""What a whole process costs: processor time of it and of what it starts, imports included."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Sequence

from include.settings import ROOT
from tests.bench.figures import median


def hims(*arguments: str) -> list[str]:
    """Return the words that run one of our commands."""
    return [sys.executable, "-m", "include.cli", *arguments]


def processor_seconds(command: Sequence[str], *, repeats: int, status: int = 0) -> float:
    """Return the median of several runs; RuntimeError for one that does not end with `status`."""
    used = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        if done.returncode != status:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr.decode()}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(used)
