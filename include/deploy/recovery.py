"""Proving a way back: that what traffic would return to is there, is itself, and answers."""

from __future__ import annotations

from collections.abc import Sequence

from include.deploy.smoke import request
from include.deploy.target import Colour, Target

# Each path so often: one good answer may be luck.
ROUNDS = 3


def obstacle(target: Target, slot: Colour, digest: str | None, paths: Sequence[str]) -> str | None:
    """Return why people can't be led back to `slot`, None if they can.

    It has to be ready, to say that it runs the artefact `digest` (where that is known), and to
    answer every path. Raises TargetError when the target does not answer.
    """
    health = target.health(slot)
    if not health.ready:
        return f"{slot} is not healthy: {health.message}"
    if digest is not None and health.digest not in (None, digest):
        return f"{slot} runs {str(health.digest)[:19]}…, not {digest[:19]}… which served before"
    for path in [*paths] * ROUNDS:
        answer = request(target.address(slot) + path, timeout=10)
        if answer.status == 0 or answer.status >= 500:
            said = answer.status or f"no answer ({answer.body[:100]})"
            return f"{slot}: {path} answers {said}"
    return None
