"""config/audit.yaml: whose word counts has to be somebody's."""

from __future__ import annotations

import pytest

from include.audit.policy import load_audit_policy
from include.errors import ConfigError
from tests.unit.config_copy import ConfigCopy


@pytest.mark.parametrize(
    ("line", "misspelt"),
    [
        ("acknowledged_by: [security_officer,", "acknowledged_by: [security_oficer,"),
        ("pruned_by: [compliance_officer, security_officer,",
         "pruned_by: [compliance_officer, security_oficer,"),
    ],
)  # fmt: skip
def test_a_role_that_nobody_has_is_said_with_its_line_and_what_was_meant(
    config: ConfigCopy, line: str, misspelt: str
) -> None:
    assert load_audit_policy(config.settings).rules.acknowledged_by
    config.replace("audit.yaml", line, misspelt)
    said = (
        r'audit.yaml:\d+: (acknowledged|pruned)_by.*nobody is "security_oficer".*security_officer'
    )
    with pytest.raises(ConfigError, match=said):
        load_audit_policy(config.settings)
