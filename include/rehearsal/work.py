"""More work on the sample service, so that there is always something to release.

What is added is small and real: on `develop` one more clinic takes appointments, on `main` a title
is corrected, for a patch or a hotfix. With a fault the work also
holds a commit whose defect its own tests do not see; the next work without that fault withdraws it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from include.errors import RepositoryError
from include.rehearsal.history import faults, read_fault
from include.releases.commits import Identity
from include.releases.git import Git
from include.releases.history import History
from include.settings import ROOT

SOURCE = ROOT / "examples" / "hims-api"
FAULTS = faults(SOURCE)

DEVELOP, MAIN = "develop", "main"
DEVELOPERS = (
    Identity("Devi Anand", "devi.anand@arocord.example"),
    Identity("Jonas Weber", "jonas.weber@arocord.example"),
    Identity("Mei Tan", "mei.tan@arocord.example"),
)

_TIMEOUT = timedelta(minutes=1)
_CHANGELOG = "CHANGELOG.md"
_CLINICS = "src/hims_api/clinics.py"
_CLINIC_TESTS = "tests/test_clinics.py"
_UNRELEASED = "## Unreleased"
_END_OF_TESTS = '\n\nif __name__ == "__main__":\n'


def add_work(repository: Path, *, fault: str | None = None) -> str:
    """Commit the next piece of work to `develop` and return its new sha.

    Where `main` holds a release that `develop` lacks, it is merged first; faults that earlier work
    brought are withdrawn, except the one asked for. Raises RequestError for an unknown fault, and
    RepositoryError where this is not the sample service or somebody else commits at the same time;
    then nothing has changed.
    """
    wanted = read_fault(SOURCE, fault) if fault is not None else None
    with tempfile.TemporaryDirectory(prefix="work-") as scratch:
        work = _Work(repository, Path(scratch) / "index")
        work.merge_main()
        for name in FAULTS:
            if name != fault and work.has(read_fault(SOURCE, name).difference):
                _withdraw(work, name)
        _open_clinic(work)
        if wanted is not None and not work.has(wanted.difference):
            work.apply(wanted.difference)
            work.note(_entry(wanted.message))
            work.commit(wanted.message, author=wanted.author)
        return work.publish()


def add_fix(repository: Path) -> str:
    """Commit a small correction to `main`, as a patch or hotfix needs it, and return its sha.

    Raises RepositoryError where this is not the sample service or somebody else commits at the
    same time; then nothing has changed.
    """
    with tempfile.TemporaryDirectory(prefix="work-") as scratch:
        work = _Work(repository, Path(scratch) / "index", MAIN)
        clinics = work.read(_CLINICS)
        plain, proper = 'title="Outpatient clinic 01"', 'title="Outpatient Clinic 01"'
        wrong, right = (plain, proper) if plain in clinics else (proper, plain)
        if wrong not in clinics:
            raise RepositoryError(f"{work.path}: {_CLINICS} on {MAIN} is not the sample service's")
        work.write({_CLINICS: clinics.replace(wrong, right, 1)})
        work.note("The first clinic's title is spelled as on its door.")
        work.commit("fix(clinics): spell the first title as on the door\n", author=DEVELOPERS[1])
        return work.publish()


def present_faults(repository: Path) -> tuple[str, ...]:
    """Return the names of the faults that `develop` holds now, sorted."""
    with tempfile.TemporaryDirectory(prefix="work-") as scratch:
        work = _Work(repository, Path(scratch) / "index")
        return tuple(name for name in FAULTS if work.has(read_fault(SOURCE, name).difference))


def _open_clinic(work: _Work) -> None:
    clinics = work.read(_CLINICS)
    tests = work.read(_CLINIC_TESTS)
    codes = [int(code) for code in re.findall(r'^    Clinic\(code="C(\d+)"', clinics, re.M)]
    if not codes or "\n)\n" not in clinics or _END_OF_TESTS not in tests:
        raise RepositoryError(f"{work.path}: {_CLINICS} on {DEVELOP} is not the sample service's")
    number = max(codes) + 1
    opens, closes = 7 + number % 3, 16 + number % 4
    line = (
        f'    Clinic(code="C{number:02d}", title="Outpatient clinic {number:02d}",'
        f" opens=time({opens}), closes=time({closes})),"
    )
    test = f"""
    def test_clinic_{number:02d}_sees_people_from_{opens}_until_{closes}(self) -> None:
        clinic = find_clinic("C{number:02d}")
        self.assertTrue(clinic.sees(time({opens}), 20))
        self.assertTrue(clinic.sees(time({closes - 1}, 40), 20))
        self.assertFalse(clinic.sees(time({opens - 1}, 55), 20))
        self.assertFalse(clinic.sees(time({closes - 1}, 45), 20))
"""
    entry = f"Outpatient clinic {number:02d} takes appointments."
    work.write(
        {
            _CLINICS: clinics.replace("\n)\n", f"\n{line}\n)\n", 1),
            _CLINIC_TESTS: tests.replace(_END_OF_TESTS, f"{test}{_END_OF_TESTS}", 1),
        }
    )
    work.note(entry)
    work.commit(
        f"feat(clinics): open outpatient clinic {number:02d}\n\nCloses #HIMS-{300 + number}\n",
        author=DEVELOPERS[number % len(DEVELOPERS)],
    )


def _withdraw(work: _Work, name: str) -> None:
    fault = read_fault(SOURCE, name)
    subject = _subject(fault.message)
    scope = f"({fault.scope})" if fault.scope else ""
    work.apply(fault.difference, reverse=True)
    work.note(f"{_entry(fault.message)[:-1]}: withdrawn.")
    work.commit(
        f"fix{scope}: withdraw “{subject}”\n\nIt failed in production.\n", author=fault.author
    )


def _subject(message: str) -> str:
    return message.splitlines()[0].partition(": ")[2]


def _entry(message: str) -> str:
    subject = _subject(message)
    return f"{subject[:1].upper()}{subject[1:]}."


@dataclass(slots=True)
class _Changelog:
    """A changelog in sections that begin with `## `."""

    text: str

    def with_entry(self, entry: str) -> str:
        """Return it with `entry` last among the unreleased ones."""
        before, found, rest = self.text.partition(f"{_UNRELEASED}\n")
        if not found:
            title, _, rest = self.text.partition("\n")
            return f"{title}\n\n{_UNRELEASED}\n\n- {entry}\n{rest}"
        section, heading, later = rest.partition("\n## ")
        return f"{before}{found}{section.rstrip()}\n- {entry}\n{heading}{later}"

    def unreleased(self) -> list[str]:
        """Return the unreleased entries, without their dashes."""
        section = self.text.partition(f"{_UNRELEASED}\n")[2].partition("\n## ")[0]
        return [line[2:] for line in section.splitlines() if line.startswith("- ")]


class _Work:
    """Commits on top of a branch, made in an index of their own and published all at once."""

    def __init__(self, repository: Path, index: Path, branch: str = DEVELOP) -> None:
        self._history = History(repository)
        self.path = self._history.path
        self._git = Git(self.path, _TIMEOUT)
        self._index = {"GIT_INDEX_FILE": str(index)}
        self._branch = branch
        start = self._history.branch(branch)
        if start is None:
            raise RepositoryError(f"{self.path} has no branch {branch}")
        self._start = self._tip = start
        self._time = self._commit_time(start)
        self._git.run("read-tree", start, variables=self._index)

    def read(self, path: str) -> str:
        found = self._git.run(
            "cat-file", "blob", f":{path}", variables=self._index, statuses=(0, 128)
        )
        if found.status:
            raise RepositoryError(
                f"{self.path}: {self._branch} has no {path}; is it the sample service?"
            )
        return found.output.decode("utf-8", "replace")

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            blob = self._git.run("hash-object", "-w", "--stdin", stdin=text.encode()).text
            self._git.run(
                "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}",
                variables=self._index,
            )  # fmt: skip

    def note(self, entry: str) -> None:
        """Put `entry` into the changelog."""
        self.write({_CHANGELOG: _Changelog(self.read(_CHANGELOG)).with_entry(entry)})

    def has(self, difference: bytes) -> bool:
        """Return whether the work as it stands holds what `difference` brings."""
        answer = self._git.run(
            "apply", "--cached", "--reverse", "--check", "--whitespace=nowarn",
            stdin=difference, variables=self._index, statuses=(0, 1, 128),
        )  # fmt: skip
        return answer.status == 0

    def apply(self, difference: bytes, *, reverse: bool = False) -> None:
        self._git.run(
            "apply", "--cached", "--whitespace=nowarn", *["--reverse"] * reverse,
            stdin=difference, variables=self._index,
        )  # fmt: skip

    def commit(self, message: str, *, author: Identity, merged: str | None = None) -> None:
        # Dated after what it builds on, so that the same repository gives the same commit.
        self._time += 600
        date = f"@{self._time} +0000"
        tree = self._git.run("write-tree", variables=self._index).text
        parents = [self._tip, *([merged] if merged else [])]
        self._tip = self._git.run(
            "commit-tree", tree, *[word for parent in parents for word in ("-p", parent)],
            "-F", "-",
            stdin=message.encode(),
            variables={
                "GIT_AUTHOR_NAME": author.name,
                "GIT_AUTHOR_EMAIL": author.email,
                "GIT_AUTHOR_DATE": date,
                "GIT_COMMITTER_NAME": author.name,
                "GIT_COMMITTER_EMAIL": author.email,
                "GIT_COMMITTER_DATE": date,
            },
        ).text  # fmt: skip

    def merge_main(self) -> None:
        """Bring a release back from `main`, as far as `develop` has not got it."""
        main = self._history.branch(MAIN)
        if main is None or self._history.is_ancestor(main, self._start):
            return
        merged = self._git.run(
            "merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", self._start, main,
            statuses=(0, 1),
        )  # fmt: skip
        tree, *conflicts = [part for part in merged.text.split("\0") if part.strip()]
        if set(conflicts) - {"VERSION", _CHANGELOG}:
            raise RepositoryError(
                f"{self.path}: {MAIN} and {DEVELOP} differ in {', '.join(sorted(conflicts))}; "
                f"merge {MAIN} into {DEVELOP} by hand first"
            )
        unreleased = _Changelog(self.read(_CHANGELOG)).unreleased()
        self._git.run("read-tree", tree.strip(), variables=self._index)
        # Merged line by line, an entry from after the cut would end up under the release.
        changelog = self._history.read_file(main, _CHANGELOG).decode("utf-8", "replace")
        for entry in unreleased:
            if f"- {entry}\n" not in changelog:
                changelog = _Changelog(changelog).with_entry(entry)
        version = self._history.read_file(main, "VERSION").decode("utf-8", "replace")
        self.write({_CHANGELOG: changelog, "VERSION": version})
        self._time = max(self._time, self._commit_time(main))
        self.commit(f"Merge branch '{MAIN}' into {DEVELOP}\n", author=DEVELOPERS[0], merged=main)

    def publish(self) -> str:
        """Move the branch from where the work began to where it ends; return that sha."""
        branch = f"refs/heads/{self._branch}"
        self._git.run("update-ref", branch, self._tip, self._start, writes=True)
        return self._tip

    def _commit_time(self, sha: str) -> int:
        return int(self._git.run("show", "--no-patch", "--format=%ct", sha).text)
