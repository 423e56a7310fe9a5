"""The sample's repository with real git: seeding, and the work that is added later."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from include.errors import RepositoryError, RequestError
from include.rehearsal.sample import (
    FAULTS,
    add_work,
    next_version,
    present_faults,
    seed_repository,
)
from include.rehearsal.work import SOURCE, add_fix
from include.releases.repository import Repository
from include.settings import ROOT

SUBJECT = re.compile(r"(feat|fix|docs|style|refactor|test|chore)\([a-z]+\): [a-z].{3,70}")


def git(repository: Path, *words: str) -> str:
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Mei Tan",
        "GIT_AUTHOR_EMAIL": "mei.tan@arocord.example",
        "GIT_COMMITTER_NAME": "Mei Tan",
        "GIT_COMMITTER_EMAIL": "mei.tan@arocord.example",
    }
    done = subprocess.run(
        ["git", *words], cwd=repository, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def refs(repository: Path) -> str:
    return git(repository, "for-each-ref")


def run_tests(repository: Path, rev: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the service's own tests as config/services/hims-api.yaml says."""
    Repository(repository).export(rev, directory)
    service = yaml.safe_load((ROOT / "config" / "services" / "hims-api.yaml").read_text())
    (command,) = service["commands"]["test"]
    words = [word.replace("{python}", sys.executable) for word in command]
    return subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = tmp_path_factory.mktemp("seeded") / "hims-api.git"
    seed_repository(SOURCE, repository)
    return repository


@pytest.fixture
def repository(seeded: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "hims-api.git"
    shutil.copytree(seeded, copy)
    return copy


# --- seeding


def test_the_repository_is_as_the_plan_has_it(seeded: Path) -> None:
    assert git(seeded, "rev-parse", "--is-bare-repository") == "true"
    assert git(seeded, "symbolic-ref", "HEAD") == "refs/heads/main"
    branches = git(seeded, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert sorted(branches) == ["develop", "main", "staging"]
    assert git(seeded, "for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags") == (
        "tag v2.1.0\ntag v2.2.0"
    )
    assert git(seeded, "rev-parse", "v2.2.0^{commit}") == git(seeded, "rev-parse", "main")
    assert git(seeded, "show", "main:VERSION") == "2.2.0"
    git(seeded, "merge-base", "--is-ancestor", "staging", "main")
    git(seeded, "merge-base", "--is-ancestor", "main", "develop")
    assert next_version(seeded) == "2.3.0"
    git(seeded, "fsck", "--strict", "--no-dangling")


def test_every_commit_is_conventional_and_by_one_of_the_sample_developers(seeded: Path) -> None:
    people = yaml.safe_load((ROOT / "config" / "people.yaml").read_text())["people"].values()
    developers = {
        f"{person['name']} <{person['email']}>"
        for person in people
        if "developer" in person["roles"]
    }
    lines = git(seeded, "log", "--all", "--format=%P%x09%an <%ae>%x09%s").splitlines()
    assert 15 <= len(lines) <= 25
    assert {line.split("\t")[1] for line in lines} == developers
    plain = [line.split("\t")[2] for line in lines if len(line.split("\t")[0]) == 40]
    assert [subject for subject in plain if not SUBJECT.fullmatch(subject)] == []


def test_develop_holds_features_fixes_docs_and_an_expand_migration_for_the_next_release(
    seeded: Path,
) -> None:
    subjects = git(seeded, "log", "--format=%s", "main..develop").splitlines()
    kinds = {subject.partition("(")[0] for subject in subjects if "(" in subject}
    assert {"feat", "fix", "docs"} <= kinds
    added = git(seeded, "diff", "--diff-filter=A", "--name-only", "main", "develop").splitlines()
    (migration,) = (name for name in added if name.endswith(".sql"))
    assert git(seeded, "show", f"develop:{migration}").startswith("-- kind: expand")


def test_develop_is_the_folder_in_examples(seeded: Path, tmp_path: Path) -> None:
    Repository(seeded).export("develop", tmp_path / "develop")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "."],
        cwd=SOURCE, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    expected = {name for name in tracked if name and not name.startswith("history/")}
    exported = {
        path.relative_to(tmp_path / "develop").as_posix()
        for path in (tmp_path / "develop").rglob("*")
        if path.is_file()
    }
    assert exported == expected
    for name in sorted(expected):
        assert (tmp_path / "develop" / name).read_bytes() == (SOURCE / name).read_bytes(), name


def test_the_same_folder_gives_the_same_shas_anywhere(seeded: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "a copy"
    shutil.copytree(SOURCE, elsewhere, ignore=shutil.ignore_patterns("__pycache__"))
    for path in elsewhere.rglob("*"):
        os.utime(path, (1, 1))
    seed_repository(elsewhere, tmp_path / "again.git")
    assert refs(tmp_path / "again.git") == refs(seeded)


def test_the_callers_git_settings_change_nothing(
    seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(
        "[core]\n autocrlf = true\n excludesFile = /tmp/nowhere\n[user]\n name = X\n"
        "[apply]\n whitespace = fix\n[init]\n defaultBranch = trunk\n"
        "[i18n]\n commitEncoding = latin1\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "wrong"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "wrong-index"))
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    seed_repository(SOURCE, tmp_path / "again.git")
    monkeypatch.undo()
    assert refs(tmp_path / "again.git") == refs(seeded)
    assert not (tmp_path / "wrong-index").exists()


def test_seeding_again_changes_nothing(repository: Path) -> None:
    add_work(repository)
    before = refs(repository), {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    seed_repository(SOURCE, repository)
    after = refs(repository), {path: path.stat().st_mtime_ns for path in repository.rglob("*")}
    assert after == before


def test_killed_at_any_moment_it_is_finished_by_the_next_call(seeded: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hims-api.git"
    code = (
        "import sys; from pathlib import Path;"
        "from include.rehearsal.sample import seed_repository;"
        "sys.stdout.write('go\\n'); sys.stdout.flush();"
        "seed_repository(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    cut_short = 0
    for delay in (0.0, 0.01, 0.05, 0.1, 0.15, 0.2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(SOURCE), str(repository)],
            cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        cut_short += process.wait() == -signal.SIGKILL
        process.stdout.close()
        # Never something half made under the name.
        if repository.exists():
            assert refs(repository) == refs(seeded)
    assert cut_short
    seed_repository(SOURCE, repository)
    assert refs(repository) == refs(seeded)
    assert not (tmp_path / ".hims-api.git.unfinished").exists()


def test_two_at_once_make_one(seeded: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hims-api.git"
    failures: list[BaseException] = []

    def seed() -> None:
        try:
            seed_repository(SOURCE, repository)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=seed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert refs(repository) == refs(seeded)


def test_a_skeleton_without_commits_is_replaced(seeded: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.git").mkdir()
    (tmp_path / "skeleton.git").mkdir()
    git(tmp_path / "skeleton.git", "init", "--quiet", "--bare")
    for name in ("empty.git", "skeleton.git"):
        seed_repository(SOURCE, tmp_path / name)
        assert refs(tmp_path / name) == refs(seeded)


def test_what_is_not_the_sample_is_left_alone_and_named(tmp_path: Path) -> None:
    other = tmp_path / "other.git"
    other.mkdir()
    git(other, "init", "--quiet", "--bare", "--initial-branch=main")
    tree = git(other, "mktree")
    git(other, "update-ref", "refs/heads/main", git(other, "commit-tree", tree, "-m", "mine"))
    before = refs(other)
    with pytest.raises(RepositoryError, match=r"other\.git.*lacks develop, staging, a release tag"):
        seed_repository(SOURCE, other)
    assert refs(other) == before

    files = tmp_path / "files"
    files.mkdir()
    (files / "thesis.txt").write_text("years of work")
    with pytest.raises(RepositoryError, match="files is not a git repository"):
        seed_repository(SOURCE, files)
    assert (files / "thesis.txt").read_text() == "years of work"

    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(RepositoryError, match="not a directory"):
        seed_repository(SOURCE, file)


def test_a_patch_that_no_longer_leads_to_the_folder_is_named(tmp_path: Path) -> None:
    source = tmp_path / "hims-api"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    clinics = source / "src" / "hims_api" / "clinics.py"
    clinics.write_text(clinics.read_text().replace("def as_json", "def as_document"))
    with pytest.raises(RepositoryError, match=r"0010-feat-clinics-list.*does not lead to the tree"):
        seed_repository(source, tmp_path / "repositories" / "hims-api.git")
    assert [path.name for path in (tmp_path / "repositories").iterdir()] == [".hims-api.git.lock"]


def test_a_folder_that_is_no_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="has no history/"):
        seed_repository(tmp_path, tmp_path / "x.git")
    assert not (tmp_path / "x.git").exists()


@pytest.mark.parametrize("rev", ["v2.1.0", "v2.2.0", "develop"])
def test_the_tests_of_every_release_pass_without_a_database(
    seeded: Path, tmp_path: Path, rev: str
) -> None:
    begin = time.monotonic()
    done = run_tests(seeded, rev, tmp_path / "source")
    assert done.returncode == 0, done.stderr
    assert int(re.findall(r"Ran (\d+) tests", done.stderr)[0]) > 25
    assert time.monotonic() - begin < 10


# --- versions


def test_the_next_version_follows_the_newest_final_tag_as_numbers_do(repository: Path) -> None:
    for tag in ("v2.3.0-rc.1", "v2.3.0-rc.2", "nightly", "v3"):
        git(repository, "tag", tag, "develop")
    assert next_version(repository) == "2.3.0"
    for tag in ("v2.3.0", "v2.9.4", "v2.10.0"):
        git(repository, "tag", tag, "develop")
    assert next_version(repository) == "2.11.0"


def test_without_a_release_there_is_no_next_version(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "x.git")
    with pytest.raises(RepositoryError, match="no release tag"):
        next_version(tmp_path / "x.git")
    with pytest.raises(RepositoryError, match="does not exist"):
        next_version(tmp_path / "y.git")


# --- more work


def listed_clinics(repository: Path, directory: Path) -> list[str]:
    Repository(repository).export("develop", directory)
    code = (
        "import json; from hims_api.clinics import CLINICS;"
        "print(json.dumps([clinic.code for clinic in CLINICS]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(directory / "src")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return list(json.loads(done.stdout))


def test_every_call_adds_a_clinic_that_the_service_serves_and_tests(
    repository: Path, tmp_path: Path
) -> None:
    before = git(repository, "rev-parse", "develop")
    shas = [add_work(repository) for _ in range(3)]
    assert len(set(shas)) == 3
    assert git(repository, "rev-parse", "develop") == shas[-1]
    subjects = git(repository, "log", "--format=%s", f"{before}..develop").splitlines()
    assert subjects == [f"feat(clinics): open outpatient clinic 0{n}" for n in (6, 5, 4)]
    assert listed_clinics(repository, tmp_path / "a") == ["C01", "C02", "C03", "C04", "C05", "C06"]
    changelog = git(repository, "show", "develop:CHANGELOG.md")
    unreleased = changelog.partition("## Unreleased")[2].partition("\n## ")[0]
    assert "- Outpatient clinic 06 takes appointments." in unreleased
    done = run_tests(repository, "develop", tmp_path / "source")
    assert done.returncode == 0, done.stderr


def test_a_fix_on_main_is_all_that_a_patch_needs_and_comes_back_into_develop(
    repository: Path, tmp_path: Path
) -> None:
    before = git(repository, "rev-parse", "main")
    shas = [add_fix(repository), add_fix(repository)]
    assert git(repository, "rev-parse", "main") == shas[-1]
    subjects = git(repository, "log", "--format=%s", f"{before}..main").splitlines()
    assert len(subjects) == 2
    assert all(subject.startswith("fix(clinics): ") for subject in subjects)
    done = run_tests(repository, "main", tmp_path / "source")
    assert done.returncode == 0, done.stderr
    add_fix(repository)
    add_work(repository)
    assert git(repository, "merge-base", "main", "develop") == git(repository, "rev-parse", "main")
    assert "Outpatient Clinic 01" in git(repository, "show", "develop:src/hims_api/clinics.py")
    assert run_tests(repository, "develop", tmp_path / "merged").returncode == 0


def test_added_work_keeps_to_the_services_own_style(repository: Path, tmp_path: Path) -> None:
    for fault in FAULTS:
        add_work(repository, fault=fault)
        Repository(repository).export("develop", tmp_path / fault)
        for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
            done = subprocess.run(
                [str(Path(sys.executable).with_name("ruff")), *words, "."],
                cwd=tmp_path / fault, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout


def test_the_same_repository_gets_the_same_commit(seeded: Path, tmp_path: Path) -> None:
    for name in ("a.git", "b.git"):
        shutil.copytree(seeded, tmp_path / name)
    assert add_work(tmp_path / "a.git", fault="errors") == add_work(
        tmp_path / "b.git", fault="errors"
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_feature_whose_tests_pass(
    repository: Path, tmp_path: Path, fault: str
) -> None:
    add_work(repository, fault=fault)
    assert present_faults(repository) == (fault,)
    assert git(repository, "log", "-1", "--format=%s", "develop").startswith("feat(")
    done = run_tests(repository, "develop", tmp_path / "source")
    assert done.returncode == 0, done.stderr


def test_work_without_the_fault_withdraws_it_and_it_can_come_again(
    repository: Path, tmp_path: Path
) -> None:
    clean = git(repository, "rev-parse", "develop:src/hims_api/app.py")
    for fault in ("smoke", "errors", "smoke"):
        add_work(repository, fault=fault)
        assert present_faults(repository) == (fault,)
        tip = add_work(repository, fault=fault)
        assert present_faults(repository) == (fault,)
        assert "clinic" in git(repository, "log", "-1", "--format=%s", tip)
    add_work(repository)
    assert present_faults(repository) == ()
    assert git(repository, "rev-parse", "develop:src/hims_api/app.py") == clean
    fixes = git(repository, "log", "--format=%s", "main..develop", "--grep=withdraw").splitlines()
    assert len(fixes) == 3
    done = run_tests(repository, "develop", tmp_path / "source")
    assert done.returncode == 0, done.stderr


def test_an_unknown_fault_changes_nothing(repository: Path) -> None:
    before = refs(repository)
    with pytest.raises(RequestError, match=r'no fault "slow".*errors, latency, migration, smoke'):
        add_work(repository, fault="slow")
    assert refs(repository) == before


def release(repository: Path, directory: Path, version: str) -> str:
    """Release develop as the train does: bump on a release branch, then main; return the tip."""
    git(
        directory.parent, "clone", "--quiet", "--branch", "develop", str(repository), directory.name
    )
    git(directory, "checkout", "--quiet", "-b", f"release/v{version}")
    command = [sys.executable, "tools/set_version.py", version]
    subprocess.run(command, cwd=directory, check=True)
    git(directory, "commit", "--quiet", "--all", "--message", f"chore(release): {version}")
    git(directory, "tag", "--annotate", f"v{version}", "--message", f"Release version {version}")
    git(directory, "push", "--quiet", "origin", f"v{version}", f"release/v{version}:main")
    return git(directory, "rev-parse", "HEAD")


def test_a_release_that_develop_lacks_is_merged_before_the_work(
    repository: Path, tmp_path: Path
) -> None:
    tip = release(repository, tmp_path / "clone", "2.3.0")
    add_work(repository)
    git(repository, "merge-base", "--is-ancestor", tip, "develop")
    assert git(repository, "show", "develop:VERSION") == "2.3.0"
    changelog = git(repository, "show", "develop:CHANGELOG.md")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert headings == ["Unreleased", "2.3.0", "2.2.0", "2.1.0", "2.0.0"]
    assert next_version(repository) == "2.4.0"
    done = run_tests(repository, "develop", tmp_path / "source")
    assert done.returncode == 0, done.stderr


def test_work_that_was_added_while_a_release_was_under_way_is_kept_by_the_merge(
    repository: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "develop", str(repository), "clone")
    add_work(repository)  # after the release branch was cut
    command = [sys.executable, "tools/set_version.py", "2.3.0"]
    subprocess.run(command, cwd=clone, check=True)
    git(clone, "commit", "--quiet", "--all", "--message", "chore(release): 2.3.0")
    git(clone, "push", "--quiet", "origin", "HEAD:main")

    add_work(repository)
    assert git(repository, "show", "develop:VERSION") == "2.3.0"
    unreleased, _, released = git(repository, "show", "develop:CHANGELOG.md").partition("## 2.3.0")
    assert "clinic 04" in unreleased
    assert "clinic 05" in unreleased
    assert "clinic" not in released.partition("## 2.2.0")[0]
    assert listed_clinics(repository, tmp_path / "a")[-2:] == ["C04", "C05"]


def test_a_release_that_cannot_be_merged_is_said_and_nothing_changes(
    repository: Path, tmp_path: Path
) -> None:
    for branch, hours in (("main", "time(6)"), ("develop", "time(7)")):
        clone = tmp_path / branch
        git(tmp_path, "clone", "--quiet", "--branch", branch, str(repository), branch)
        clinics = clone / "src" / "hims_api" / "clinics.py"
        clinics.write_text(clinics.read_text().replace("time(8)", hours))
        git(clone, "commit", "--quiet", "--all", "--message", "fix(clinics): open earlier")
        git(clone, "push", "--quiet")
    before = refs(repository)
    with pytest.raises(RepositoryError, match=r"differ in src/hims_api/clinics\.py; merge main"):
        add_work(repository)
    assert refs(repository) == before


def test_a_repository_of_something_else_gets_no_work(tmp_path: Path) -> None:
    other = tmp_path / "other.git"
    other.mkdir()
    git(other, "init", "--quiet", "--bare")
    with pytest.raises(RepositoryError, match="no branch develop"):
        add_work(other)
    tree = git(other, "mktree")
    git(other, "update-ref", "refs/heads/develop", git(other, "commit-tree", tree, "-m", "mine"))
    with pytest.raises(RepositoryError, match="is it the sample service"):
        add_work(other)
