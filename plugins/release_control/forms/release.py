"""The trigger form of a release train."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from release_control.services import service_names


def meant(text: str) -> Any:
    """Return a remark in a field's schema: Airflow prints it when it refuses a value."""
    return {"$comment": text}


def release_form() -> dict[str, Param]:
    """Return the form's fields; whether the values make sense is the release plan's word.

    The form's date-time picker sends an instant in UTC (`2026-11-28T07:00:00.000Z`) whatever zone
    it shows; text without an offset is refused here, as the plan would refuse it.
    """
    return {
        "service": Param(
            "hims-api",
            type="string",
            enum=service_names(),
            title="Service",
            description="What to release: a service of config/services",
        ),
        "version": Param(
            type="string",
            title="Version",
            description="Three numbers like 2.4.0, without a v; it follows the newest release",
            pattern=r"^(0|[1-9][0-9]{0,5})([.](0|[1-9][0-9]{0,5})){2}$(?!\n)",
            **meant("A version is three numbers like 2.4.0, without a v"),
        ),
        "release_type": Param(
            "minor",
            type="string",
            enum=["major", "minor", "patch", "hotfix"],
            values_display={
                "major": "Major: all six seats of the CAB vote",
                "minor": "Minor: features and fixes",
                "patch": "Patch: fixes only",
                "hotfix": "Hotfix: one urgent fix",
            },
            title="Release type",
            description="The commits have to fit it: no features in a patch or hotfix",
        ),
        "target_window": Param(
            None,
            type=["string", "null"],
            format="date-time",
            title="Target window",
            description="A moment inside the change window to aim for, in the time zone that the "
            "picker shows (the clock at the bottom left changes it). Empty: the first window "
            "that leaves both freezes their full time.",
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}.*(Z|[+-][0-9]{2}:[0-9]{2})$(?!\n)",
            **meant("An instant with its offset, like 2026-11-28T07:00:00Z"),
        ),
        "strategy": Param(
            "blue_green",
            type="string",
            enum=["blue_green", "canary", "rolling"],
            values_display={
                "blue_green": "Blue-green: all traffic at once, the old version stays ready",
                "canary": "Canary: a small share first, more after each look",
                "rolling": "Rolling: half of the traffic, then all of it",
            },
            title="Strategy",
            description="How traffic reaches the new version",
        ),
        "rehearsal": Param(
            False,
            type="boolean",
            title="Rehearsal",
            description="The same train in minutes: freezes take seconds and a window opens every "
            "two minutes. It deploys like any other train.",
        ),
    }
