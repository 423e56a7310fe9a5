"""The weekly change report: the plan's four sections."""

from __future__ import annotations

from include.notices.wording import one_line
from include.reports.blocks import (
    TITLE,
    coming,
    implemented,
    incidents,
    lessons,
    outcome,
    refusals,
    release_timeline,
    tiles,
)
from include.reports.making import Material
from include.reports.metrics.success import shortcomings
from include.reports.report import Points, Section


def weekly_sections(material: Material) -> list[Section]:
    """Return the sections, in the plan's order."""
    facts = material.card.facts
    troubled = [
        f"{change.id} {one_line(change.title, TITLE)}: {outcome(change, facts)}"
        for change in facts.changes
        if change.finished_at is not None
        and facts.start <= change.finished_at < facts.end
        and shortcomings(change, facts.observed)
    ]
    return [
        Section(
            title="Changes implemented",
            blocks=[
                tiles(
                    material,
                    (
                        "change_success_rate",
                        "mean_time_to_complete",
                        "emergency_change_rate",
                        "deployment_frequency",
                    ),
                ),
                implemented(material),
            ],
        ),
        Section(
            title="Issues encountered",
            blocks=[
                Points(
                    items=troubled,
                    nothing="Every change of the week went as planned.",
                    title="Changes that did not go as planned",
                ),
                incidents(material),
                Points(items=refusals(material), nothing="Nothing was refused.", title="Refused"),
            ],
        ),
        Section(
            title="Lessons learned",
            blocks=[
                Points(items=lessons(material), nothing="No review of this week noted a lesson.")
            ],
        ),
        Section(title="Upcoming changes", blocks=[coming(material), release_timeline(material)]),
    ]
