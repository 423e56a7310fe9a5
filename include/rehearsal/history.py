"""The sample service's history as it is stored: patches that lead to the tree beside them.

`history/NNNN-….patch` are commits as `git format-patch` writes them, oldest first; taken back from
the tree, newest first, they give each older state. `history/series.yaml` says how it began and
which releases were cut; `history/faults/NAME.patch` are commits with a known defect.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

from include.documents import Section, load_section
from include.errors import ConfigError, Problem, RepositoryError, RequestError, did_you_mean
from include.releases.commits import Identity
from include.releases.versions import Version

FOLDER = "history"


def _identity(value: object) -> Identity:
    name, address = email.utils.parseaddr(str(value))
    try:
        return Identity(name, address)
    except RequestError as error:
        raise ValueError(f'"{value}" is not like "Name <address>"') from error


def _version(value: object) -> Version:
    try:
        return Version.parse(str(value))
    except RequestError as error:
        raise ValueError(str(error)) from error


class Start(Section):
    """The commit that holds the tree before the first patch."""

    author: Annotated[Identity, BeforeValidator(_identity)]
    date: AwareDatetime
    message: str


class Released(Section):
    """A release: the patch that set its version, and who merged it when."""

    version: Annotated[Version, BeforeValidator(_version)]
    patch: str
    author: Annotated[Identity, BeforeValidator(_identity)]
    date: AwareDatetime


class Series(Section):
    """series.yaml."""

    start: Start
    releases: tuple[Released, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One commit: who, when (with the author's own offset), why, and the difference it makes."""

    name: str
    author: Identity
    date: datetime
    message: str
    difference: bytes

    @property
    def scope(self) -> str:
        """Return the scope of a `type(scope): subject`, empty where there is none."""
        kind = self.message.partition(":")[0]
        return kind.partition("(")[2].rstrip(")!")


def read_series(source: Path) -> Series:
    """Return what series.yaml under `source` says; raise ConfigError where it cannot be used."""
    file = source / FOLDER / "series.yaml"
    series = load_section(file, Series, name=str(file))
    known = {path.name for path in (source / FOLDER).glob("*.patch")}
    missing = [
        Problem(file=str(file), key="releases", message=f"there is no {release.patch}")
        for release in series.releases
        if release.patch not in known
    ]
    if missing:
        raise ConfigError(missing)
    return series


def read_patches(source: Path) -> tuple[Patch, ...]:
    """Return the commits of the history, oldest first; raise RepositoryError for one that is not
    what `git format-patch` writes."""
    found = tuple(read_patch(path) for path in sorted((source / FOLDER).glob("*.patch")))
    if not found:
        raise RepositoryError(f"{source / FOLDER} holds no patches; name the sample's directory")
    return found


def faults(source: Path) -> tuple[str, ...]:
    """Return the names of the known faults, sorted."""
    return tuple(sorted(path.stem for path in (source / FOLDER / "faults").glob("*.patch")))


def read_fault(source: Path, name: str) -> Patch:
    """Return the commit that brings the fault `name`; raise RequestError naming the known ones."""
    known = faults(source)
    if name not in known:
        hint = did_you_mean(name, known)
        if "known" not in hint:
            hint += f" The faults are {', '.join(known)}."
        raise RequestError(f'there is no fault "{name[:40]}"{hint}')
    return read_patch(source / FOLDER / "faults" / f"{name}.patch")


def read_patch(path: Path) -> Patch:
    """Return the commit in one file that `git format-patch` wrote."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RepositoryError(f"{path}: cannot be read: {error.strerror}") from error
    head, _, rest = raw.partition(b"\n\n")
    body, found, difference = rest.partition(b"\ndiff --git ")
    headers = BytesHeaderParser(policy=default).parsebytes(head + b"\n\n")
    try:
        author = _identity(headers["From"])
        date = email.utils.parsedate_to_datetime(str(headers["Date"]))
    except ValueError as error:
        raise RepositoryError(f"{path} is no commit as git format-patch writes it") from error
    subject = str(headers["Subject"] or "").removeprefix("[PATCH] ").strip()
    if not found or not subject or date.tzinfo is None:
        raise RepositoryError(f"{path} is no commit as git format-patch writes it")
    # After `---` come the figures for mail readers, if any.
    explained = (b"\n" + body + b"\n").partition(b"\n---\n")[0]
    text = explained.decode("utf-8", "replace").strip()
    return Patch(
        name=path.name,
        author=author,
        date=date,
        message=f"{subject}\n\n{text}\n" if text else f"{subject}\n",
        difference=b"diff --git " + difference,
    )
