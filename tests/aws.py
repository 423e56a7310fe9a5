"""An AWS account of moto's that is there at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import boto3


@cache
def session() -> boto3.Session:
    """Return the session of all tests: it has read the services' descriptions once."""
    boto3 = pytest.importorskip("boto3")
    # Before the session is made: moto comes between it and the network.
    pytest.importorskip("moto")
    return boto3.Session(
        aws_access_key_id="testing", aws_secret_access_key="testing", region_name="us-east-1"
    )


@contextmanager
def empty_account() -> Iterator[boto3.Session]:
    """Pretend that there is an empty account; yield the session whose clients work in it."""
    made = session()
    from moto import mock_aws

    with pytest.MonkeyPatch.context() as patch:
        # A thousand machine images that no test starts.
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        with mock_aws():
            yield made
