"""How the shell's commands get at the ledger's seal: policy, keys, anchors, sealer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from include.audit.anchors.anchor import Anchor
from include.audit.anchors.factory import open_anchors
from include.audit.keys import (
    Keyring,
    Trusted,
    held_keys,
    keyring,
    keys_from_text,
    local_keys,
    published,
)
from include.audit.policy import AuditPolicy, LocatedPolicy, load_audit_policy
from include.audit.sealing import Sealer
from include.errors import RequestError
from include.ledger import Ledger
from include.ledger.note import Signer, parse_public_key
from include.settings import Settings

CONNECTION = "AIRFLOW_CONN_LEDGER_SEAL_KEY"


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that verifying and sealing need, but the ledger."""

    settings: Settings
    policy: LocatedPolicy
    keys: tuple[Signer, ...]
    s3_client: Callable[[], Any] | None = None

    @property
    def known(self) -> Keyring:
        """Return the keys that are believed: published ones, and those that we sign with."""
        return keyring(self.settings).with_own(Trusted(key=key.public) for key in self.keys)

    def anchors(self) -> tuple[Anchor, ...]:
        """Return every configured anchor."""
        return open_anchors(self.policy, keys=self.keys, s3_client=self.s3_client)

    def sealer(self, ledger: Ledger, anchors: Sequence[Anchor] | None = None) -> Sealer:
        """Return the sealer of a ledger, with all anchors or those given."""
        return Sealer(
            ledger,
            self.policy.rules.origin,
            self.keys,
            self.known,
            self.anchors() if anchors is None else anchors,
        )


def open_desk(
    settings: Settings,
    now: datetime,
    *,
    sign: bool = False,
    keys: str | None = None,
    s3_client: Callable[[], Any] | None = None,
    kms_client: Callable[[str | None], Any] | None = None,
) -> Desk:
    """Return the desk with the keys of this process: those handed in (one a line) or those of
    $AIRFLOW_CONN_LEDGER_SEAL_KEY, and those in KMS by config/audit.yaml. Where there are neither,
    this machine's own, which are made where there are none and `sign` asks for one; beside KMS
    they sign as long as config/audit.yaml publishes them. A key that is published signs between its
    `since` and its `until` alone.

    KMS is asked when something is signed, not before. `kms_client` makes its client for a region.
    Raises ConfigError and RequestError for a policy or a Connection that can't be used.
    """
    given = os.environ.get(CONNECTION)
    text = keys or (_password(given) if given else "")
    policy = load_audit_policy(settings)
    ring = published(policy.rules)
    # Once a key in KMS has had its beginning, none is made here as it is needed.
    begun = _begun(policy.rules, now, kms_client)
    found: list[Signer]
    if text:
        found = [*keys_from_text(text)]
    elif begun:
        public = {item.key for item in ring.keys}
        found = [key for key in held_keys(settings, now) if key.public in public]
    else:
        found = [*(local_keys(settings, now) if sign else held_keys(settings, now))]
    found += begun
    usable = tuple(
        key for key in found if ring.with_own([Trusted(key=key.public)]).counts(key.public, now)
    )
    return Desk(settings, policy, usable, s3_client)


def _begun(
    policy: AuditPolicy, now: datetime, client: Callable[[str | None], Any] | None
) -> list[Signer]:
    """Return the keys in KMS whose time has come, over or not."""
    places = [
        (item.kms, parse_public_key(item.key))
        for item in policy.keys
        if item.kms is not None and (item.since is None or item.since <= now)
    ]
    if not places:
        return []
    from include.audit.kms import KmsSigner, open_client

    return [
        KmsSigner(partial(client or open_client, place.where), place.key, public)
        for place, public in places
    ]


def _password(connection: str) -> str:
    try:
        return str(json.loads(connection)["password"])
    except (ValueError, KeyError, TypeError):
        raise RequestError(
            f"{CONNECTION} is not a Connection as JSON with the sealing keys as its password"
        ) from None
