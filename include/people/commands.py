"""`./hims people`: who signs in, with which roles."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from include.output import print_json, print_line
from include.people import load_people
from include.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> int:
    """List everybody; a password only where this machine generated the sign-in."""
    settings = load_settings()
    passwords = generated_passwords(settings.state_dir)
    rows: list[dict[str, Any]] = []
    for person in load_people(settings).people:
        row = {"user": person.user, "name": person.name, "roles": list(person.roles)}
        if person.user in passwords:
            row["password"] = passwords[person.user]
        rows.append(row)
    if options.json:
        print_json(rows)
    else:
        print_line(f"Sign in at {settings.ui_url}")
        table = [
            (row["user"], row.get("password", "—"), row["name"], ", ".join(row["roles"]))
            for row in rows
        ]
        widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)]
        for cells in table:
            line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
            print_line(line.rstrip())
    return 0


def generated_passwords(state_dir: Path) -> dict[str, str]:
    """Return the passwords that this machine generated, by user; none where it made no sign-ins."""
    try:
        found = json.loads((state_dir / "people-passwords.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(user): str(password) for user, password in found.items()}
