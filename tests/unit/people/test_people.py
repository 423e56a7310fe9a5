"""config/people.yaml: who is who."""

from __future__ import annotations

import pytest

from include.errors import ConfigError
from include.people import load_people
from tests.unit.config_copy import ConfigCopy


def test_people_are_found_by_sign_in_by_address_and_by_role(config: ConfigCopy) -> None:
    people = load_people(config.settings)
    rita = people.find("rita")
    assert rita is not None
    assert (rita.name, rita.titles) == ("Rita Moreno", ("Release Manager",))
    assert rita.may("start_release")
    assert not rita.may("edit_policy")
    assert people.by_identity("RITA.Moreno@Arocord.Example") == rita
    assert people.with_role("release_manager") == (rita,)
    assert people.find("Rita") is None
    assert people.by_identity("rita@elsewhere.example") is None


def test_several_roles_give_the_widest_access(config: ConfigCopy) -> None:
    config.replace(
        "people.yaml",
        "roles: [developer]}\n  jonas",
        "roles: [developer, release_manager]}\n  jonas",
    )
    devi = load_people(config.settings).find("devi")
    assert devi is not None
    assert (devi.airflow_role, devi.may("start_release")) == ("user", True)


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("roles: [auditor]", "roles: [auditr]", "people.audra.roles.0", 'did you mean "auditor"'),
        ("roles: [auditor]", "roles: []", "people.audra.roles", "at least 1"),
        (
            "email: audra.klein@arocord.example",
            "email: audra.klein",
            "people.audra.email",
            "pattern",
        ),
        (
            "email: audra.klein@arocord.example",
            "email: Sam.Okafor@AROCORD.example",
            "people.audra.email",
            "is also sam's address",
        ),
        ("{name: Audra Klein, ", "{", "people.audra.name", '"name" is required'),
        (
            "auditor: {airflow: viewer",
            "auditor: {airflow: root",
            "roles.auditor.airflow",
            "'admin', 'op', 'user' or 'viewer'",
        ),
        ("  audra: {", "  sam: {", "people.sam", "given twice"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line(
    config: ConfigCopy, old: str, new: str, key: str, said: str
) -> None:
    line = config.replace("people.yaml", old, new)
    with pytest.raises(ConfigError) as refused:
        load_people(config.settings)
    (problem,) = refused.value.problems
    assert (problem.line, problem.key) == (line, key)
    assert said in problem.message


def test_nobody_at_all_is_refused(config: ConfigCopy) -> None:
    config.write("people.yaml", "roles: {}\npeople: {}\n")
    with pytest.raises(ConfigError, match="people"):
        load_people(config.settings)
