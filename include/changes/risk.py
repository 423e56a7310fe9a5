"""Risk of a change: computed, explained, and never lower than declared (plan §13.1, §13.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from include.documents import Section, load_section
from include.settings import Settings

Level = Literal["low", "medium", "high", "critical"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high", "critical")
ANSWERS = ("none", "low", "medium", "high")
RISKS = (
    "breaking_changes", "performance_degradation", "security_vulnerabilities",
    "integration_failures", "downtime", "data_loss", "user_impact", "compliance_issues",
)  # fmt: skip
CONTROLS = (
    "automated_testing", "code_reviews", "security_scanning", "performance_testing",
    "change_approval", "rollback_planning", "monitoring", "communication",
)  # fmt: skip


class _Factor(Section):
    title: str
    weight: float = Field(ge=0, le=5)


class RiskPolicy(Section):
    """config/risk.yaml: answers, weights and bands."""

    answers: dict[str, int]
    unanswered: str
    bands: dict[Level, int]
    technical: dict[str, _Factor]
    operational: dict[str, _Factor]
    controls: dict[str, _Factor]

    @model_validator(mode="after")
    def _complete(self) -> RiskPolicy:
        if set(self.technical) | set(self.operational) != set(RISKS):
            raise ValueError(f"technical and operational have to hold exactly: {', '.join(RISKS)}")
        if set(self.controls) != set(CONTROLS):
            raise ValueError(f"controls have to be exactly: {', '.join(CONTROLS)}")
        if set(self.answers) != set(ANSWERS):
            raise ValueError(f"answers have to be exactly: {', '.join(ANSWERS)}")
        counts = [self.answers[answer] for answer in ANSWERS]
        if counts[0] < 0 or counts != sorted(counts):
            raise ValueError("answers have to rise from none to high, and none counts at least 0")
        if self.unanswered not in self.answers:
            raise ValueError(f'unanswered: "{self.unanswered}" is none of the answers')
        marks = [self.bands.get(level) for level in LEVELS]
        if None in marks or marks != sorted(set(marks), key=lambda mark: mark or 0):
            raise ValueError("bands have to rise from low over medium and high to critical")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: what was answered or shown, and what it counts."""

    name: str
    title: str
    kind: Literal["technical", "operational", "control"]
    answer: str
    counts: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The assessment: `level` is the higher of what was declared and what was computed."""

    level: Level
    declared: Level | None
    computed: Level
    likelihood: float
    impact: float
    score: float
    lines: tuple[Line, ...]


def assess(
    policy: RiskPolicy,
    *,
    declared: Level | None,
    answers: Mapping[str, str],
    evidence: Mapping[str, str],
) -> Risk:
    """Return the risk; `evidence` names, for each control that has any, what proves it.

    A control without evidence counts nothing, whatever was promised.
    """
    lines: list[Line] = []
    likelihood = 1.0
    for name, factor in policy.technical.items():
        answer = answers.get(name, policy.unanswered)
        counts = policy.answers[answer] * factor.weight
        likelihood += counts
        lines.append(Line(name=name, title=factor.title, kind="technical",
                          answer=_said(name, answer, answers), counts=counts))  # fmt: skip
    impact = 0.0
    for name, factor in policy.operational.items():
        answer = answers.get(name, policy.unanswered)
        counts = policy.answers[answer] * factor.weight
        impact = max(impact, counts)
        lines.append(Line(name=name, title=factor.title, kind="operational",
                          answer=_said(name, answer, answers), counts=counts))  # fmt: skip
    for name, factor in policy.controls.items():
        proof = evidence.get(name)
        counts = -factor.weight if proof else 0.0
        likelihood += counts
        lines.append(Line(name=name, title=factor.title, kind="control",
                          answer=proof or "no evidence", counts=counts))  # fmt: skip
    likelihood, impact = _clamped(likelihood), _clamped(1 + impact)
    score = likelihood * impact
    computed = max(
        (level for level in LEVELS if score >= policy.bands[level]),
        key=LEVELS.index,
        default=LEVELS[0],
    )
    level = max((computed, declared or computed), key=LEVELS.index)
    return Risk(
        level=level,
        declared=declared,
        computed=computed,
        likelihood=round(likelihood, 2),
        impact=round(impact, 2),
        score=round(score, 2),
        lines=tuple(lines),
    )


def load_risk_policy(settings: Settings) -> RiskPolicy:
    """Return config/risk.yaml; ConfigError with file, line and key of what is wrong in it."""
    name = "risk.yaml"
    return load_section(settings.config_file(name), RiskPolicy, name=settings.label(name))


def answers_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Return the answers of a change: those it gives, and those that its other fields imply."""
    risk = content.get("risk") or {}
    answers = dict(risk.get("answers") or {})
    if risk.get("downtime_required") and answers.get("downtime", "none") in ("none", "low"):
        answers["downtime"] = "medium"
    elif risk.get("downtime_required") is False:
        answers.setdefault("downtime", "none")
    return answers


def _said(name: str, answer: str, answers: Mapping[str, str]) -> str:
    return answer if name in answers else f"{answer} (not answered)"


def _clamped(value: float) -> float:
    return min(5.0, max(1.0, value))
