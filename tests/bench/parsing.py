"""Parses Dag files as the dag-processor does and prints what that took, as JSON.

A program of its own (`python -m tests.bench.parsing FILE…`): Airflow reads its settings when it is
imported. The files are parsed in turn, so that a busy moment falls upon all of them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import structlog
from airflow.dag_processing import processor
from airflow.dag_processing.dagbag import BundleDagBag

WARM, FORKED = 31, 15


def main(files: list[str]) -> None:
    """Print, per file, what every parse took, and the modules that its first one loads."""
    log = structlog.get_logger()
    for file in files:
        # The dag-processor does so in its own process, before it forks one for the file.
        processor._pre_import_airflow_modules(file, log)
    forked: dict[str, list[Any]] = {file: [] for file in files}
    for _ in range(FORKED):
        for file in files:
            forked[file].append(_forked(file))
    warm: dict[str, list[Any]] = {file: [] for file in files}
    for file in files * 2:
        parse(file)
    for _ in range(WARM):
        for file in files:
            warm[file].append(parse(file))
    document = {
        file: {
            "warm": [load for load, _ in warm[file]],
            "warm_serialized": [load + rest for load, rest in warm[file]],
            "forked": [one["load"] for one in forked[file]],
            "forked_serialized": [one["load"] + one["rest"] for one in forked[file]],
            "modules": forked[file][0]["modules"],
        }
        for file in files
    }
    sys.stdout.write(json.dumps(document))


def parse(file: str) -> tuple[float, float]:
    """Return the milliseconds that loading one file took, and those of serializing its Dags."""
    gc.collect()
    begin = time.perf_counter()
    bag = BundleDagBag(
        dag_folder=file, bundle_path=Path(file).parent, bundle_name="bench", load_op_links=False
    )
    loaded = time.perf_counter()
    _, errors = processor._serialize_dags(bag, structlog.get_logger())
    end = time.perf_counter()
    if bag.import_errors or errors or not bag.dags:
        raise RuntimeError(f"{file} is no sound Dag file: {bag.import_errors or errors}")
    return (loaded - begin) * 1000, (end - loaded) * 1000


def _forked(file: str) -> dict[str, Any]:
    """Parse in a fresh child, whose imports are its own, as everything in the dag-processor is."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            before = set(sys.modules)
            load, rest = parse(file)
            found = {"load": load, "rest": rest, "modules": sorted(set(sys.modules) - before)}
            with os.fdopen(writer, "w") as output:
                json.dump(found, output)
            status = 0
        finally:
            # Nothing of the parent's may run on in the child.
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as source:
        text = source.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"parsing {file} failed")
    return dict(json.loads(text))


if __name__ == "__main__":
    main(sys.argv[1:])
