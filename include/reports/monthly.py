"""The monthly quality report: the plan's four sections."""

from __future__ import annotations

from include.reports.advice import improvements, risks
from include.reports.blocks import (
    coming,
    implemented,
    lead_times,
    lessons,
    median_of_work,
    release_timeline,
    tiles,
    time_in_states,
    trend_of,
    value_of,
    work_calendar,
)
from include.reports.making import Material
from include.reports.metrics.emergency import emergency_rate
from include.reports.metrics.metric import Unit
from include.reports.metrics.quality import COVERAGE, measured
from include.reports.metrics.success import rollback_rate, success_rate
from include.reports.report import Points, Section

PROCESS = (
    "change_success_rate", "mean_time_to_complete", "rollback_rate", "emergency_change_rate",
    "unauthorised_changes", "freeze_days", "window_use",
)  # fmt: skip
DELIVERY = (
    "change_lead_time", "deployment_frequency", "failed_deployment_recovery_time",
    "change_fail_rate", "deployment_rework_rate",
)  # fmt: skip
QUALITY = ("defect_leakage", "coverage", "code_quality", "open_vulnerabilities")


def monthly_sections(material: Material) -> list[Section]:
    """Return the sections, in the plan's order."""
    return [
        Section(
            title="Change metrics",
            blocks=[
                tiles(material, PROCESS),
                tiles(material, DELIVERY),
                trend_of(
                    material,
                    "Success, rollback and emergency rates",
                    Unit.SHARE,
                    {
                        "success": value_of(success_rate),
                        "rollback": value_of(rollback_rate),
                        "emergency": value_of(emergency_rate),
                    },
                ),
                work_calendar(material),
                implemented(material),
            ],
        ),
        Section(
            title="Quality trends",
            blocks=[
                tiles(material, QUALITY),
                trend_of(
                    material,
                    "Test coverage",
                    Unit.PERCENT,
                    {
                        "coverage": lambda facts: (
                            measured(
                                facts, COVERAGE, "Test coverage", Unit.PERCENT, worst="lowest"
                            ).value
                        )
                    },
                ),
                trend_of(
                    material,
                    "Time to complete a change, median",
                    Unit.DURATION,
                    {"median": median_of_work},
                ),
                lead_times(material),
            ],
        ),
        Section(
            title="Process improvements",
            blocks=[
                Points(
                    items=improvements(material),
                    nothing="The figures suggest nothing.",
                    title="What the figures suggest",
                ),
                time_in_states(material),
                Points(
                    items=lessons(material),
                    nothing="No review of this month noted a lesson.",
                    title="What reviews taught",
                ),
            ],
        ),
        Section(
            title="Risk assessments",
            blocks=[
                Points(
                    items=risks(material), nothing="Nothing stands open.", title="What stands open"
                ),
                release_timeline(material),
                coming(material),
            ],
        ),
    ]
