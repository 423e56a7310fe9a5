"""Keys that sign heads: this machine's own, and the public ones that are believed.

Where Airflow has the Connection `ledger_seal_key`, its password holds the private keys, one a line,
and nothing is kept here. A key that config/audit.yaml says is in KMS signs there. While one key
takes over from another both sign, so that who knows only the old one, or only the new one, can
verify.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from include.audit.policy import AuditPolicy, load_audit_policy
from include.durable import locked, read_json, write_json
from include.errors import LedgerError
from include.instants import format_instant, parse_instant
from include.ledger.note import PrivateKey, PublicKey, parse_public_key, signers
from include.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A public key, and when heads that it signed count."""

    key: PublicKey
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Keyring:
    """The public keys that are believed."""

    keys: tuple[Trusted, ...]

    def counts(self, key: PublicKey, at: datetime) -> bool:
        """Return whether heads of the instant `at` may be signed with `key`."""
        return any(
            (item.since is None or item.since <= at) and (item.until is None or at < item.until)
            for item in self.keys
            if item.key == key
        )

    def counts_after(self, key: PublicKey, at: datetime) -> bool:
        """Return whether what was signed with `key` may count at some instant after `at`."""
        return any(item.until is None or item.until > at for item in self.keys if item.key == key)

    def signer(self, note: str, at: datetime) -> PublicKey | None:
        """Return a key that signed `note` and counted at the instant that the note names."""
        known = dict.fromkeys(item.key for item in self.keys)
        return next((key for key in signers(note, known) if self.counts(key, at)), None)

    def with_own(self, own: Iterable[Trusted]) -> Keyring:
        """Return this ring with keys of one's own; of those in it, what it says goes on to hold."""
        known = {item.key for item in self.keys}
        return Keyring((*self.keys, *(item for item in own if item.key not in known)))


def keyring(settings: Settings) -> Keyring:
    """Return the published keys of config/audit.yaml, and those that this machine made itself."""
    policy = load_audit_policy(settings).rules
    return published(policy).with_own(_own(settings))


def published(policy: AuditPolicy) -> Keyring:
    """Return the keys of config/audit.yaml."""
    return Keyring(
        tuple(
            Trusted(key=parse_public_key(item.key), since=item.since, until=item.until)
            for item in policy.keys
        )
    )


def keys_from_text(text: str) -> list[PrivateKey]:
    """Return the private keys in a Connection's password, one a line; RequestError if damaged."""
    return [PrivateKey.parse(line) for line in text.splitlines() if line.strip()]


def local_keys(settings: Settings, now: datetime) -> list[PrivateKey]:
    """Return this machine's keys that sign now, made on first use and kept for the owner alone."""
    with locked(_file(settings).with_suffix(".lock"), what="the sealing keys"):
        kept = _read(settings)
        current = [item for item in kept if item["until"] is None]
        if not current:
            kept = [*kept, _make(settings, now, kept)]
            write_json(_file(settings), {"keys": kept})
    return [PrivateKey.parse(item["private"]) for item in kept if _signs(item, now)]


def held_keys(settings: Settings, now: datetime) -> list[PrivateKey]:
    """Return this machine's keys that sign now, without making any."""
    return [PrivateKey.parse(item["private"]) for item in _read(settings) if _signs(item, now)]


def rotate(settings: Settings, now: datetime, *, overlap: timedelta) -> PublicKey:
    """Make a new key; the one so far signs beside it until `overlap` has passed."""
    local_keys(settings, now)
    with locked(_file(settings).with_suffix(".lock"), what="the sealing keys"):
        kept = _read(settings)
        end = format_instant(now + overlap)
        kept = [{**item, "until": item["until"] or end} for item in kept]
        made = _make(settings, now, kept)
        write_json(_file(settings), {"keys": [*kept, made]})
    return PrivateKey.parse(made["private"]).public


def _file(settings: Settings) -> Path:
    return settings.state_dir / "seal" / "keys.json"


def _read(settings: Settings) -> list[dict[str, Any]]:
    document = read_json(_file(settings)) or {"keys": []}
    try:
        kept = [
            {name: item[name] for name in ("private", "since", "until")}
            for item in document["keys"]
        ]
    except (KeyError, TypeError) as error:
        raise LedgerError(f"{_file(settings)}: is not what sealing wrote; restore it") from error
    return kept


def _make(settings: Settings, now: datetime, kept: Sequence[object]) -> dict[str, Any]:
    origin = load_audit_policy(settings).rules.origin.replace("/", "-")
    key = PrivateKey(name=f"{origin}-{now:%Y}-{len(kept) + 1}", seed=os.urandom(32))
    return {"private": key.text(), "since": format_instant(now), "until": None}


def _signs(item: dict[str, Any], now: datetime) -> bool:
    return item["until"] is None or now < parse_instant(item["until"])


def _own(settings: Settings) -> Iterable[Trusted]:
    for item in _read(settings):
        until = item["until"]
        yield Trusted(
            key=PrivateKey.parse(item["private"]).public,
            until=None if until is None else parse_instant(until),
        )
