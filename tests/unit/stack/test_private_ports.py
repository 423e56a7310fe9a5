"""The tests' own stacks stay out of each other's way."""

from __future__ import annotations

import pytest

from tests.private_stack import Ports


def test_a_port_that_was_given_is_never_given_again() -> None:
    ports = Ports(range(11_900, 11_910))
    given = [*ports.take(3), *ports.take(4)]
    assert len(set(given)) == 7
    with pytest.raises(AssertionError, match="no free ports"):
        ports.take(4)
