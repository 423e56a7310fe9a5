"""The ledger's migrations, as files."""

from __future__ import annotations

import re
from pathlib import Path

from include.ledger import migrations


def test_migrations_follow_one_another_each_by_its_number() -> None:
    # Two with one number: Alembic warns, and runs one of them.
    folder = Path(migrations.__file__).parent / "versions"
    follows: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.py")):
        text = file.read_text()
        [own] = re.findall(r'^revision = "(\d{4})"$', text, re.MULTILINE)
        [before] = re.findall(r'^down_revision = (?:"(\d{4})"|None)$', text, re.MULTILINE)
        assert file.name.startswith(f"{own}_")
        follows.setdefault(own, []).append(before)
    numbers = [f"{number:04}" for number in range(1, len(follows) + 1)]
    assert follows == dict(zip(numbers, ([one] for one in ["", *numbers[:-1]]), strict=True))
