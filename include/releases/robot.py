"""The name under which Release Control itself commits and tags."""

from __future__ import annotations

from include.releases.commits import Identity

ROBOT = Identity("Release Control", "release-control@arocord.example")
