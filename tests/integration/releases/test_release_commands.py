"""`./hims freeze check` and `./hims release notes`, as CI jobs call them."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.cli import main
from tests.integration.releases.workshop import Workshop, run_hims


def check(workshop: Workshop, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run `freeze check --json` and return status, document and stderr."""
    done = run_hims("freeze", "check", "--repo", workshop.path, "--json", *arguments)
    return done.returncode, json.loads(done.stdout), done.stderr


def test_the_feature_freeze_lists_each_offending_commit_with_its_reason(
    workshop: Workshop,
) -> None:
    (base,) = workshop.line("feat: before the freeze")
    fixes = workshop.line("fix: a", "docs: b", 'Revert "feat: c"', after=base)
    bad = workshop.line(
        "feat(auth): d", "fix!: e", b"caf\xe9 f", "", "perf: g", "fix: h\n\nBREAKING CHANGE: i",
        after=base,
    )  # fmt: skip
    merge = workshop.commit("Merge branch 'x'", [fixes[-1], bad[-1]])
    workshop.git("tag", "v2.3.0-rc.1", merge)

    status, found, _ = check(
        workshop, "--base", base, "--head", "v2.3.0-rc.1", "--phase", "feature"
    )

    assert status == 1
    assert (found["phase"], found["base"], found["head"]) == ("feature", base, merge)
    assert found["commits"] == 10
    assert {item["commit"]: item["reason"] for item in found["violations"]} == dict(
        zip(
            bad,
            [
                "type_not_allowed",
                "breaking_change",
                "unparsable",
                "unparsable",
                "type_not_allowed",
                "breaking_change",
            ],
            strict=True,
        )
    )
    assert all(item["message"] for item in found["violations"])
    subjects = {item["commit"]: item["subject"] for item in found["violations"]}
    assert subjects[bad[0]] == "feat(auth): d"
    assert subjects[bad[2]] == "caf� f"


def test_the_code_freeze_lists_every_commit_after_the_pin(workshop: Workshop) -> None:
    pin, fix = workshop.line("fix: a", "fix: b")
    (side,) = workshop.line("docs: c", after=pin)
    merge = workshop.commit("Merge branch 'x'", [fix, side])
    status, found, _ = check(workshop, "--base", pin, "--head", merge, "--phase", "code")
    assert status == 1
    assert {item["commit"] for item in found["violations"]} == {fix, side, merge}
    assert {item["reason"] for item in found["violations"]} == {"after_pin"}
    status, found, _ = check(workshop, "--base", pin, "--head", pin, "--phase", "code")
    assert (status, found["commits"], found["violations"]) == (0, 0, [])


def test_only_complete_exceptions_in_force_let_a_commit_through(
    workshop: Workshop, tmp_path: Path
) -> None:
    pin, good, late, short, nobody = workshop.line(
        "fix: pin", "fix: good", "fix: late", "fix: short", "fix: nobody"
    )
    file = tmp_path / "exceptions.yaml"
    file.write_text(
        f"""
exceptions:
  - {{commit: "{good}", owner: Lead, reason: r, expires: 2026-12-01T00:00:00Z}}
  - {{commit: "{late}", owner: Lead, reason: r, expires: 2026-11-01T00:00:00Z}}
  - {{commit: "{short[:12]}", owner: Lead, reason: r, expires: 2026-12-01T00:00:00Z}}
  - {{commit: "{nobody}", reason: r, expires: 2026-12-01T00:00:00Z}}
"""
    )
    range_ = ("--base", pin, "--head", nobody, "--phase", "code", "--exceptions", file)
    status, found, said = check(workshop, *range_, "--at", "2026-11-20T00:00:00Z")
    assert status == 1
    assert [item["commit"] for item in found["violations"]] == [nobody, short, late]
    assert [item["commit"] for item in found["excepted"]] == [good]
    assert said.count("does not count") == 3
    for words in ("expired at 2026-11-01T00:00:00Z", "whole sha", "no owner"):
        assert words in said
    status, found, _ = check(workshop, *range_, "--at", "2026-12-01T00:00:00Z")
    assert len(found["violations"]) == 4


def test_another_policy_changes_what_is_allowed(workshop: Workshop, tmp_path: Path) -> None:
    base, perf = workshop.line("fix: a", "perf: b")
    policy = tmp_path / "releases.yaml"
    policy.write_text("commits:\n  types: [fix, perf]\n")
    range_ = ("--base", base, "--head", perf, "--phase", "feature")
    assert check(workshop, *range_)[0] == 1
    assert check(workshop, *range_, "--config", policy)[0] == 0


def test_a_head_that_lost_the_base_is_pointed_out(workshop: Workshop) -> None:
    base, *_ = workshop.line("fix: a")
    (other,) = workshop.line("fix: b")
    status, found, said = check(workshop, "--base", base, "--head", other, "--phase", "feature")
    assert (status, found["base_in_head"]) == (0, False)
    assert "is not in the history of" in said


def test_text_for_people_holds_no_control_characters(workshop: Workshop) -> None:
    base, top = workshop.line("fix: a", "feat: \x1b[2J\x07evil\x9b1m")
    done = run_hims(
        "freeze", "check", "--repo", workshop.path, "--base", base, "--head", top,
        "--phase", "feature",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{top[:12]}  type_not_allowed  feat: [2Jevil1m" in done.stdout
    assert "1 commit, 1 against the feature freeze" in done.stdout
    notes = run_hims("release", "notes", "--repo", workshop.path, "--base", base, "--head", top)
    assert not any(char in done.stdout + notes.stdout for char in "\x1b\x07\x9b")


def test_notes_are_markdown_for_people_and_lists_for_programs(workshop: Workshop) -> None:
    base, feature, fix, breaking, other, odd = workshop.line(
        "chore: base", "feat(auth): add MFA", "fix: tax", "fix(api)!: drop v1", "docs: z", "odd"
    )
    merge = workshop.commit("Merge branch 'x'", [odd, base])
    range_ = ("--repo", workshop.path, "--base", base, "--head", merge)
    done = run_hims("release", "notes", *range_, "--json")
    found = json.loads(done.stdout)
    assert {"features", "fixes", "breaking", "others", "unparsed"} <= set(found)
    assert found["features"] == [{"commit": feature, "scope": "auth", "subject": "add MFA"}]
    assert [item["commit"] for item in found["fixes"]] == [breaking, fix]
    assert [item["commit"] for item in found["breaking"]] == [breaking]
    assert [item["commit"] for item in found["others"]] == [other]
    assert found["unparsed"] == [{"commit": odd, "scope": None, "subject": "odd"}]
    page = run_hims("release", "notes", *range_, "--version", "2.3.0")
    assert page.returncode == 0
    assert page.stdout.startswith("# Release 2.3.0\n\n## Breaking changes\n\n- **api:** drop v1 (")
    again = run_hims("release", "notes", *range_, "--version", "2.3.0")
    assert again.stdout == page.stdout


def test_a_relative_repository_starts_where_the_caller_is(workshop: Workshop) -> None:
    base, top = workshop.line("fix: a", "fix: b")
    done = run_hims(
        "release", "notes", "--repo", workshop.path.name, "--base", base, "--head", top,
        cwd=workshop.path.parent,
    )  # fmt: skip
    assert done.returncode == 0
    assert "## Fixes" in done.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        {"--repo": "/nonexistent"},
        {"--repo": "/"},
        {"--base": "nope"},
        {"--base": "--upload-pack=touch /tmp/x"},
        {"--head": "main..other"},
        {"--base": ""},
    ],
)
@pytest.mark.parametrize("command", [("freeze", "check"), ("release", "notes")])
def test_misuse_is_one_sentence_on_stderr_and_status_two(
    workshop: Workshop, command: tuple[str, str], wrong: dict[str, str]
) -> None:
    base, top = workshop.line("fix: a", "fix: b")
    values = {"--repo": str(workshop.path), "--base": base, "--head": top, **wrong}
    if command[0] == "freeze":
        values["--phase"] = "feature"
    done = run_hims(*command, *[f"{key}={value}" for key, value in values.items()], "--json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("hims: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("text", ["exceptions: [{commit: 1234567, owner: A}]", "- [", "x: 1"])
def test_an_exception_file_that_cannot_be_used_is_misuse(
    workshop: Workshop, tmp_path: Path, text: str
) -> None:
    base, top = workshop.line("fix: a", "fix: b")
    file = tmp_path / "exceptions.yaml"
    file.write_text(text)
    done = run_hims(
        "freeze", "check", "--repo", workshop.path, "--base", base, "--head", top,
        "--phase", "code", "--exceptions", file,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"{file}:1" in done.stderr


def test_of_twenty_thousand_commits_each_offender_is_named(workshop: Workshop) -> None:
    random_ = random.Random(20_000)
    types = ["feat", "fix", "docs", "chore", "perf", "feat!", "no type"]
    stream, expected, refused = [], 0, {"feat", "perf", "feat!", "no type"}
    for number in range(1, 20_001):
        kind = random_.choice(types)
        merge = number % 10 == 0
        expected += number > 1 and kind in refused and not merge
        message = f"{kind}: change {number}\n\n" + "A line of the body.\n" * random_.randint(0, 20)
        stream.append(
            f"commit refs/heads/main\nmark :{number}\n"
            f"committer A <a@example.org> {1_770_000_000 + number} +0000\n"
            f"data {len(message)}\n{message}\n"
            + (f"from :{number - 1}\n" if number > 1 else "")
            + (f"merge :{number - 5}\n" if merge else "")
        )
    subprocess.run(
        ["git", "fast-import", "--quiet"],
        cwd=workshop.path,
        input="".join(stream).encode(),
        check=True,
    )
    root = workshop.git("rev-list", "--max-parents=0", "main")
    status, found, _ = check(workshop, "--base", root, "--head", "main", "--phase", "feature")
    assert status == 1
    assert found["commits"] == 19_999
    assert len(found["violations"]) == expected


def test_a_branch_wound_back_behind_its_pin_does_not_hold_the_code_freeze(
    workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    before = workshop.commit("chore: x")
    pin = workshop.commit("fix: y", [before])
    asked = ["freeze", "check", "--repo", str(workshop.path), "--base", pin, "--head", before]
    assert main([*asked, "--phase", "feature"]) == 0
    capsys.readouterr()
    assert main([*asked, "--phase", "code"]) == 1
    assert f"the pin {pin[:12]} is no longer in {before[:12]}" in capsys.readouterr().out
