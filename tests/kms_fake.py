"""A fake of AWS KMS: the little of its protocol that signing with Ed25519 needs, on loopback HTTP.

boto3's own client speaks to it, so that what we send goes through botocore's model of KMS. It
checks the algorithms and sizes that KMS's documentation gives, and misbehaves on demand. It cannot
show what IAM, a key policy or KMS itself would do, nor that AWS accepts the request's signature:
only a call of AWS shows that.
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.aws import session

_ARN = "arn:aws:kms:eu-central-1:111122223333:key/"
Answer = tuple[int, dict[str, Any]]


class FakeKms:
    """Serves on a free loopback port. `keys` are by id, `aliases` lead to ids, `calls` are the
    operations in order.

    `errors` are codes to be answered with, one a request. `spoil` changes an answer (by operation)
    before it is given; `raw` replaces it by text that is none.
    """

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.aliases: dict[str, str] = {}
        self.calls: list[str] = []
        self.errors: deque[str] = deque()
        self.spoil: Callable[[str, dict[str, Any]], None] = lambda _operation, _answer: None
        self.raw: bytes | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def make(self, number: int, alias: str) -> str:
        """Make a key with an alias and return its id."""
        identity = f"0a1b2c3d-0000-4000-8000-{number:012d}"
        self.keys[identity] = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        self.aliases[alias] = identity
        return identity

    def client(self) -> Any:
        """Return boto3's client, which asks once."""
        return session().client(
            "kms",
            region_name="eu-central-1",
            endpoint_url=self.url,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def __enter__(self) -> FakeKms:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, operation: str, asked: dict[str, Any]) -> Answer:
        """Return status and document."""
        self.calls.append(operation)
        if self.errors:
            return 400, {"__type": self.errors.popleft(), "message": "as it was told to"}
        identity = self.aliases.get(asked["KeyId"], asked["KeyId"].removeprefix(_ARN))
        key = self.keys.get(identity)
        if key is None:
            return 400, {"__type": "NotFoundException", "message": "no such key"}
        answer: dict[str, Any] = {"KeyId": _ARN + identity}
        if operation == "GetPublicKey":
            der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            answer |= {
                "PublicKey": base64.b64encode(der).decode(),
                "KeySpec": "ECC_NIST_EDWARDS25519",
                "CustomerMasterKeySpec": "ECC_NIST_EDWARDS25519",
                "KeyUsage": "SIGN_VERIFY",
                "SigningAlgorithms": ["ED25519_SHA_512", "ED25519_PH_SHA_512"],
            }
        else:
            message = base64.b64decode(asked["Message"])
            if not 1 <= len(message) <= 4096:
                return 400, {"__type": "ValidationException", "message": "1 to 4096 bytes"}
            if (asked["SigningAlgorithm"], asked["MessageType"]) != ("ED25519_SHA_512", "RAW"):
                return 400, {"__type": "InvalidKeyUsageException", "message": "not with this key"}
            answer |= {
                "Signature": base64.b64encode(key.sign(message)).decode(),
                "SigningAlgorithm": "ED25519_SHA_512",
            }
        self.spoil(operation, answer)
        return 200, answer


def _handler(kms: FakeKms) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            operation = self.headers["X-Amz-Target"].removeprefix("TrentService.")
            status, document = kms.answer(operation, asked)
            content = json.dumps(document).encode() if kms.raw is None else kms.raw
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
