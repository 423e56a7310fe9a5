"""What tasks are called on the screen: words, where their ids are for programs. And the asset by
which Dags hear of each other."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset

# A release has ended well: its ledger is sealed.
RELEASED = Asset("release-control-released")


def named(words: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a task's arguments with `words` as its display name, unless they bear another.

    >>> named("prove_backup", {})
    {'task_display_name': 'Prove backup'}
    """
    return {"task_display_name": words.replace("_", " ").capitalize(), **kwargs}
