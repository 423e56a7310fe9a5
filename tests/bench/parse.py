"""What each Dag file costs whenever it is parsed, against a file that could not be smaller."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from include.output import print_progress
from include.settings import ROOT
from tests.bench.figures import Figure, median
from tests.bench.stand import DAGS

MINIMAL = DAGS / "minimal.py"
GOAL_MS = 20.0

# What Airflow and we load anyway, or Python itself has.
_KNOWN = {"airflow", "release_control", "include", *sys.stdlib_module_names}

VENDORS = {
    "azure", "boto3", "botocore", "docker", "google", "hvac", "kubernetes", "paramiko", "slack_sdk",
}  # fmt: skip


def figures() -> list[Figure]:
    """Parse every file of dags/ and the minimal one in the same process, many times each."""
    files = sorted(str(path) for path in (ROOT / "dags").glob("*.py"))
    measured = _measure([str(MINIMAL), *files])
    minimal = measured[str(MINIMAL)]
    found: list[Figure] = []
    for file in files:
        found += _of_file(file.rpartition("/")[2], measured[file], minimal)
    return found


def _of_file(name: str, ours: dict[str, Any], minimal: dict[str, Any]) -> list[Figure]:
    print_progress(f"  parsed {name}")
    loaded = set(ours["modules"]) - set(minimal["modules"])
    tops = {module.partition(".")[0] for module in loaded}
    foreign = sorted(
        top for top in tops if top not in _KNOWN and not top.startswith("unusual_prefix_")
    )
    vendors = [
        module
        for module in loaded
        if module.partition(".")[0] in VENDORS or _vendor_provider(module)
    ]
    domain = sorted(module for module in loaded if module.startswith("include"))

    def compared(key: str) -> tuple[float, float]:
        return median(ours[key]), median(minimal[key])

    warm, forked = compared("warm"), compared("forked")
    serialized = compared("forked_serialized")
    return [
        Figure(
            name=f"parse {name}, modules known: median",
            ours=warm[0],
            peer=warm[1],
            unit="ms",
            above=GOAL_MS,
        ),
        Figure(
            name=f"parse {name}, imports and all, in a fork: median",
            ours=forked[0],
            peer=forked[1],
            unit="ms",
            above=GOAL_MS,
            note=f"other packages than Airflow's and ours: {_words(foreign)}; "
            f"of include/: {_words(domain)}",
        ),
        Figure(
            name="  … and serialized",
            ours=serialized[0],
            peer=serialized[1],
            unit="ms",
        ),
        Figure(name=f"vendor SDKs imported by {name}", ours=len(vendors), peer=0, unit="", most=0),
    ]


def _vendor_provider(module: str) -> bool:
    words = module.split(".")
    return words[:2] == ["airflow", "providers"] and (
        len(words) > 2 and words[2] not in ("common", "standard")
    )


def _words(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _measure(files: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-parse-") as home:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}",
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.parsing", *files],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))
