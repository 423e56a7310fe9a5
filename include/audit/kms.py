"""A key in AWS KMS that signs heads: Ed25519, whose private half never leaves KMS.

KMS is believed as far as it shows: the key behind the name must be the published one, and every
signature is verified here before it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from include.errors import LedgerError
from include.ledger.note import PublicKey

_SPEC = "ECC_NIST_EDWARDS25519"
_ALGORITHM = "ED25519_SHA_512"
# What KMS signs as it is; longer texts would have to be signed by their digest, as another scheme.
_LONGEST = 4096
# Nobody else can seal while KMS is asked.
PATIENCE = Config(
    connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 2}
)
_REASONS = {
    "NotFoundException": "there is no such key in this account and region",
    "DisabledException": "the key is disabled; enable it in KMS",
    "KMSInvalidStateException": "the key is not in a state to be used: it may be about to be "
    "deleted, or not be enabled",
    "KeyUnavailableException": "the key is not available at the moment; try again",
    "InvalidKeyUsageException": f"the key is not one for signing with {_ALGORITHM}",
    "UnsupportedOperationException": f"the key is not one for signing with {_ALGORITHM}",
    "AccessDeniedException": "this role may not use it; it needs kms:GetPublicKey and kms:Sign",
    "ThrottlingException": "it is asked too often; try again",
    "UnrecognizedClientException": "the credentials of AWS are not known there",
    "InvalidSignatureException": "the credentials of AWS are not right",
    "ExpiredTokenException": "the credentials of AWS have expired",
}


class KmsSigner:
    """Signs with the key that `name` (an id, an ARN, an alias) leads to, if it is `public`.

    `client` makes boto3's client for KMS; it and KMS are wanted at the first signature. Errors are
    LedgerError.
    """

    def __init__(self, client: Callable[[], Any], name: str, public: PublicKey) -> None:
        self._make = client
        self._name = name
        self._public = public
        self._client: Any = None
        self._arn = ""

    @property
    def public(self) -> PublicKey:
        """Return the public half as it is published."""
        return self._public

    def sign(self, content: bytes) -> bytes:
        """Return the signature of `content`, at most 4096 bytes."""
        if len(content) > _LONGEST:
            raise LedgerError(f"KMS signs {_LONGEST} bytes at most, and these are {len(content)}")
        self._meet()
        reply = _ask(
            self._name,
            lambda: self._client.sign(
                KeyId=self._name,
                Message=content,
                MessageType="RAW",
                SigningAlgorithm=_ALGORITHM,
            ),
        )
        if reply.get("KeyId") != self._arn:
            raise LedgerError(
                f"KMS signed with {reply.get('KeyId')}, but {self._name} was {self._arn}: the "
                "alias was moved; nothing is signed until it is moved back, or the new key is "
                "published in config/audit.yaml"
            )
        signature = reply.get("Signature")
        if not isinstance(signature, bytes) or not self._public.signed(content, signature):
            raise LedgerError(
                f"what KMS returned for {self._name} is no signature of {self._public.name}; "
                "it was not used"
            )
        return signature

    def _meet(self) -> None:
        if self._arn:
            return
        client = _ask(self._name, self._make)
        arn, raw = _read(client, self._name)
        if raw != self._public.raw:
            raise LedgerError(
                f"the key {self._name} in KMS is {arn}, and that is not the published key "
                f"{self._public.name}: the alias was moved, or the wrong key is named in "
                "config/audit.yaml"
            )
        self._client, self._arn = client, arn


def read_public_key(client: Callable[[], Any], name: str) -> PublicKey:
    """Return the public half of a key in KMS, named after the id that KMS knows it by.

    Raises LedgerError where KMS does not give it, or it is no Ed25519 key for signing.
    """
    arn, raw = _read(_ask(name, client), name)
    return PublicKey(name=f"kms/{arn.rpartition('/')[2]}", raw=raw)


@cache
def open_client(region: str | None) -> Any:
    """Return a client with the credentials that this process has (a role, or AWS_… variables)."""
    import boto3

    # A session of its own: the one that boto3 shares is not for several threads.
    return boto3.session.Session().client("kms", region_name=region, config=PATIENCE)


def _read(client: Any, name: str) -> tuple[str, bytes]:
    """Return the ARN and the raw public key behind a name."""
    reply = _ask(name, lambda: client.get_public_key(KeyId=name))
    spec = reply.get("KeySpec")
    algorithms = reply.get("SigningAlgorithms") or ()
    if (spec, reply.get("KeyUsage")) != (_SPEC, "SIGN_VERIFY") or _ALGORITHM not in algorithms:
        raise LedgerError(
            f"the key {name} in KMS is for {reply.get('KeyUsage')} by {spec}: heads are signed "
            f"with a key made for SIGN_VERIFY by {_SPEC}"
        )
    try:
        key = load_der_public_key(reply.get("PublicKey") or b"")
    except (ValueError, UnsupportedAlgorithm):
        key = None
    arn = reply.get("KeyId")
    if not isinstance(key, Ed25519PublicKey) or not arn:
        raise LedgerError(f"what KMS returned for {name} is no Ed25519 public key")
    return str(arn), key.public_bytes_raw()


def _ask(name: str, call: Callable[[], Any]) -> Any:
    """Return what a call of boto3 returns; LedgerError says in a sentence why there is nothing."""
    try:
        reply = call()
    except ClientError as error:
        said = error.response.get("Error", {})
        code = str(said.get("Code") or "no reason given")
        reason = _REASONS.get(code) or f"{code}: {_one_line(said.get('Message') or '')}"
        raise LedgerError(f"KMS refuses to use the key {name}: {reason}") from error
    except BotoCoreError as error:
        raise LedgerError(
            f"KMS cannot be asked about the key {name}: {_one_line(error)}"
        ) from error
    except (ResponseParserError, ValueError, TypeError, AttributeError) as error:
        # The last three are what botocore's parser makes of JSON that is not of the model's shape.
        raise LedgerError(f"the answer about the key {name} is not one of KMS") from error
    if reply is None:
        raise LedgerError(f"the answer about the key {name} is not one of KMS")
    return reply


def _one_line(what: object) -> str:
    return " ".join(str(what).split())[:200]
