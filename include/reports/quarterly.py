"""The quarterly review: the plan's four sections, two of them in people's own words."""

from __future__ import annotations

from include.notices.wording import one_line, paragraph
from include.reports.advice import improvements, risks
from include.reports.blocks import (
    lead_times,
    lessons,
    release_timeline,
    tiles,
    time_in_states,
    trend_of,
    value_of,
    work_calendar,
)
from include.reports.making import Material
from include.reports.metrics.dora import failed
from include.reports.metrics.emergency import emergency_rate
from include.reports.metrics.metric import Unit, share
from include.reports.metrics.success import rollback_rate, success_rate
from include.reports.monthly import DELIVERY, PROCESS, QUALITY
from include.reports.report import Block, Points, Section, Words

TECHNOLOGY, STRATEGY = "Technology improvements", "Strategic alignment"
# What no ledger knows.
WORDED = (TECHNOLOGY, STRATEGY)


def quarterly_sections(material: Material) -> list[Section]:
    """Return the sections, in the plan's order."""
    return [
        Section(
            title="Overall change performance",
            blocks=[
                tiles(material, (*PROCESS[:5], *DELIVERY)),
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
                trend_of(
                    material,
                    "Change fail rate of deployments",
                    Unit.SHARE,
                    {
                        "fail rate": lambda facts: share(
                            sum(failed(item, facts.observed) for item in facts.deployments),
                            len(facts.deployments),
                        )
                    },
                ),
                work_calendar(material),
            ],
        ),
        Section(
            title="Process effectiveness",
            blocks=[
                tiles(material, ("longest_wait_state", "longest_wait_role", *PROCESS[5:])),
                time_in_states(material),
                Points(
                    items=improvements(material),
                    nothing="The figures suggest nothing.",
                    title="What the figures suggest",
                ),
                Points(
                    items=lessons(material)[:12],
                    nothing="No review noted a lesson.",
                    title="What reviews taught",
                ),
            ],
        ),
        Section(
            title=TECHNOLOGY,
            blocks=[*_said(material, TECHNOLOGY), tiles(material, QUALITY), lead_times(material)],
        ),
        Section(
            title=STRATEGY,
            blocks=[
                *_said(material, STRATEGY),
                Points(
                    items=risks(material), nothing="Nothing stands open.", title="What stands open"
                ),
                release_timeline(material),
            ],
        ),
    ]


def _said(material: Material, heading: str) -> list[Block]:
    found = material.outlook.words.get(heading)
    if found is None:
        return [Words(text="Nobody has written about this quarter yet.")]
    return [Words(text=paragraph(found[0])), Words(text=f"— {one_line(found[1])}")]
