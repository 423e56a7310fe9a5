"""A request that is answered with a reason instead of what it asked for."""

from __future__ import annotations


class Refusal(Exception):
    """An HTTP status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
