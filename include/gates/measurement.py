"""What a gate measured, as a piece of its evidence.

    decide(unit, …, evidence=[measurement("coverage", 93.4, uri=report.as_uri(), sha256=digest)])

Reports take the figures from here: coverage in percent, code quality as the analyser's score, the
number of open vulnerabilities, and how many defects a gate found before the release.
"""

from __future__ import annotations

from typing import Literal

Measure = Literal["coverage", "code_quality", "open_vulnerabilities", "defects_found"]


def measurement(name: Measure, value: float, *, uri: str, sha256: str) -> dict[str, str]:
    """Return one measurement as evidence; `uri` and `sha256` are of the file that it stands in."""
    return {"measure": name, "value": f"{value:g}", "uri": uri, "sha256": sha256}
