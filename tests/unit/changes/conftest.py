"""The project's configuration, and the plan's template as it is printed."""

from __future__ import annotations

import pytest

from include.changes.catalogue import Catalogue, load_catalogue
from include.settings import load_settings

TEMPLATE = """\
# Change Request Template
title: "Implement Patient Portal Redesign"
type: normal
priority: high
requester: "UI/UX Team"
description: "Redesign patient portal for improved usability"
impact_assessment:
  risk_level: medium
  affected_systems: ["frontend", "api"]
  downtime_required: false
  rollback_plan: "Revert to previous version"
testing_requirements:
  unit_tests: required
  integration_tests: required
  user_acceptance: required
schedule:
  planned_start: "2025-02-01"
  planned_end: "2025-02-15"
  change_window: "Saturday 2-4 AM"
approvals_required:
  - technical_lead
  - product_manager
  - security_officer
"""


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """Return the project's own catalogue."""
    return load_catalogue(load_settings())


@pytest.fixture
def template() -> str:
    """Return the plan's template."""
    return TEMPLATE
