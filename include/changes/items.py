"""The items of the plan's checklists (§3.3): seven before the work, five after it, and the tests.

The names are what configuration, records and commands call them; the titles are the plan's words.
"""

from __future__ import annotations

BEFORE = (
    "backup",
    "rollback_plan",
    "alerts",
    "communication",
    "team",
    "test_environment",
    "go_no_go",
)
AFTER = (
    "functional_testing",
    "performance_monitoring",
    "user_communication",
    "documentation",
    "retrospective",
)
TESTS = (
    "unit_tests",
    "integration_tests",
    "user_acceptance",
    "performance_tests",
    "security_tests",
)

TITLES = {
    "backup": "Pre-change backup completed",
    "rollback_plan": "Rollback plan documented and tested",
    "alerts": "Monitoring alerts configured",
    "communication": "Communication plan executed",
    "team": "Change team assembled",
    "test_environment": "Test environment validated",
    "go_no_go": "Go/no-go checkpoint completed",
    "functional_testing": "Functional testing completed",
    "performance_monitoring": "Performance monitoring active",
    "user_communication": "User communication sent",
    "documentation": "Documentation updated",
    "retrospective": "Retrospective scheduled",
    "unit_tests": "Unit tests passed",
    "integration_tests": "Integration tests passed",
    "user_acceptance": "Accepted by its users",
    "performance_tests": "Performance tests passed",
    "security_tests": "Security tests passed",
    "review": "Post-implementation review held",
}
