"""`./hims change submit FILE` and `edit ID`: a change's text comes in."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from include.changes.identity import add_user, open_desk
from include.errors import ConfigError, RequestError
from include.output import print_json, print_line


def add_action(name: str, parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of one action."""
    if name == "submit":
        parser.add_argument("file", metavar="FILE", type=Path)
    else:
        parser.add_argument("id", metavar="ID")
        parser.add_argument("--file", metavar="FILE", type=Path, help="the whole request anew")
        parser.add_argument(
            "--set",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            dest="changed",
            help="one key, like schedule.planned_end=2026-12-05; the value is YAML; repeat",
        )
        parser.add_argument("--revision", metavar="N", type=int, help="only if this is the newest")
    add_user(parser)


def run(options: argparse.Namespace) -> int:
    """Return 0 when it is done, 1 when it is refused: invalid, or not editable any more."""
    from include.changes.draft import draft  # noqa: F401 - loaded before the ledger is asked
    from include.changes.view import view

    try:
        if options.action == "submit":
            change, ruling = _submit(options)
            done = True
        else:
            change, ruling = _edit(options)
            done = ruling.reason != "not_editable"
    except ConfigError as error:
        if options.json:
            errors = [
                {"file": item.file, "line": item.line, "key": item.key, "message": item.message}
                for item in error.problems
            ]
            print_json({"ok": False, "errors": errors})
        else:
            print_line(str(error))
        return 1
    desk, _ = open_desk(options)
    if options.json:
        print_json({**view(desk, change), "message": ruling.message})
    else:
        print_line(f"{change.id} revision {change.revision}: {change.state}")
        print_line(f"  {ruling.message}")
    return 0 if done else 1


def _submit(options: argparse.Namespace) -> Any:
    from include.changes.request import load_request

    desk, person = open_desk(options)
    request = load_request(options.file, desk.catalogue.known)
    return desk.submit(request, person)


def _edit(options: argparse.Namespace) -> Any:
    from include.changes.editing import edit
    from include.changes.request import load_request, read_request

    desk, person = open_desk(options)
    change = desk.load(options.id)
    if options.file is not None and options.changed:
        raise RequestError("give either --file or --set, not both")
    if options.file is not None:
        request = load_request(options.file, desk.catalogue.known)
    elif options.changed:
        data = dict(change.content.get("request") or {})
        for item in options.changed:
            data = _with(data, item)
        import yaml

        text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
        try:
            request = read_request(text.encode(), options.id, desk.catalogue.known)
        except ConfigError as error:
            # Nobody has seen this text, so its lines say nothing.
            raise ConfigError([replace(item, line=None) for item in error.problems]) from error
    else:
        raise RequestError("say what to edit: --set KEY=VALUE, or --file FILE")
    return edit(desk, change.id, request, person, expected=options.revision)


# Far deeper than any key of a request lies.
_DEEPEST = 12


def _with(data: dict[str, Any], item: str) -> dict[str, Any]:
    """Return `data` with one key set as `a.b=value` says, the value read as YAML."""
    from include.documents import parse_document

    key, mark, text = item.partition("=")
    steps = key.strip().split(".")
    if not mark or not all(steps) or len(steps) > _DEEPEST:
        raise RequestError(f'"{item[:60]}" is no KEY=VALUE')
    value = parse_document(text.encode(), f"--set {key}").data
    result = dict(data)
    here = result
    for step in steps[:-1]:
        inner = here.get(step)
        here[step] = dict(inner) if isinstance(inner, dict) else {}
        here = here[step]
    here[steps[-1]] = value
    return result
