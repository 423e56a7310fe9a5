"""`./hims change validate FILE…`: no services, no Airflow, all errors of a file at once."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from include.errors import ConfigError
from include.output import print_json, print_line


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument("--config", type=Path, metavar="CALENDAR", help="another calendar")


def run(options: argparse.Namespace) -> int:
    """Return 0 if every file is valid, 1 if not."""
    from include.calendar import load_calendar
    from include.changes.catalogue import load_catalogue
    from include.settings import load_settings

    catalogue = load_catalogue(load_settings())
    if options.config is not None:
        catalogue = replace(catalogue, calendar=load_calendar(options.config))
    results = [_result(name, catalogue) for name in options.files]
    valid = all(result["valid"] for result in results)
    if options.json:
        print_json({"files": results})
        return 0 if valid else 1
    for result in results:
        if result["valid"]:
            print_line(f"{result['file']}: valid")
        for error in result["errors"]:
            line = f":{error['line']}" if error["line"] else ""
            key = f" {error['key']}:" if error["key"] else ""
            print_line(f"{result['file']}{line}:{key} {error['message']}")
    return 0 if valid else 1


def _result(name: str, catalogue: Any) -> dict[str, Any]:
    from include.changes.draft import draft
    from include.changes.request import load_request
    from include.errors import InputError

    errors: list[dict[str, Any]] = []
    try:
        request = load_request(Path(name), catalogue.known, name=name)
        # What nobody could write down is not valid either.
        draft(request, catalogue, by=catalogue.people.people[0])
    except ConfigError as error:
        errors = [
            {"line": problem.line, "key": problem.key, "message": _message(problem, name)}
            for problem in error.problems
        ]
    except InputError as error:
        errors = [{"line": None, "key": "", "message": str(error)}]
    return {"file": name, "valid": not errors, "errors": errors}


def _message(problem: Any, name: str) -> str:
    return str(problem.message) if problem.file == name else str(problem)
