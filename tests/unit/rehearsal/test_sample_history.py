"""What is read of the sample's stored history, and what is refused."""

from __future__ import annotations

import itertools
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from include.errors import ConfigError, RepositoryError, RequestError
from include.rehearsal.history import (
    faults,
    read_fault,
    read_patch,
    read_patches,
    read_series,
)
from include.rehearsal.work import SOURCE
from include.releases.commits import Identity

PATCH = b"""From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Mei Tan <mei.tan@arocord.example>
Date: Wed, 7 Oct 2026 14:45:00 -0400
Subject: [PATCH] docs(operations): say how to start the service when the
 database is away

First line.
Second line.

Closes #HIMS-229

diff --git a/x b/x
--- a/x
+++ b/x
@@ -1 +1 @@
-\xe2\x80\xa6
+new
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    copy = tmp_path / "hims-api"
    shutil.copytree(SOURCE / "history", copy / "history")
    return copy


def test_a_patch_has_the_author_the_local_date_the_whole_message_and_the_difference(
    tmp_path: Path,
) -> None:
    file = tmp_path / "0001-docs.patch"
    file.write_bytes(PATCH)
    patch = read_patch(file)
    assert patch.author == Identity("Mei Tan", "mei.tan@arocord.example")
    assert patch.date.utcoffset() == timedelta(hours=-4)
    assert patch.message == (
        "docs(operations): say how to start the service when the database is away\n\n"
        "First line.\nSecond line.\n\nCloses #HIMS-229\n"
    )
    assert patch.scope == "operations"
    assert patch.difference.startswith(b"diff --git a/x b/x\n")
    assert patch.difference.endswith(b"-\xe2\x80\xa6\n+new\n")


def test_figures_for_mail_readers_are_not_part_of_the_message(tmp_path: Path) -> None:
    file = tmp_path / "0001-docs.patch"
    file.write_bytes(PATCH)
    expected = read_patch(file)
    figures = b"---\n x | 2 +-\n 1 file changed, 1 insertion(+), 1 deletion(-)\n\ndiff --git"
    file.write_bytes(PATCH.replace(b"\ndiff --git", figures))
    assert read_patch(file) == expected


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw.replace(b"Date: Wed, 7 Oct 2026 14:45:00 -0400\n", b""),
        lambda raw: raw.replace(b"Date: Wed, 7 Oct 2026 14:45:00", b"Date: soon"),
        lambda raw: raw.replace(b"Mei Tan <mei.tan@arocord.example>", b"nobody"),
        lambda raw: raw.partition(b"diff --git")[0],
        lambda raw: raw.replace(b"Subject: [PATCH] docs(operations)", b"X-Subject: docs"),
    ],
)
def test_a_damaged_patch_is_named(tmp_path: Path, damage: object) -> None:
    file = tmp_path / "0001-docs.patch"
    file.write_bytes(damage(PATCH))  # type: ignore[operator]
    with pytest.raises(RepositoryError, match=r"0001-docs\.patch"):
        read_patch(file)


def test_the_stored_history_is_in_order_and_ends_before_its_service_is_released(
    source: Path,
) -> None:
    series, patches = read_series(source), read_patches(source)
    dates = [series.start.date, *(patch.date for patch in patches)]
    assert dates == sorted(dates)
    assert len(patches) >= 15
    merged = {release.patch: release.date for release in series.releases}
    for before, after in itertools.pairwise(patches):
        if before.name in merged:
            assert before.date < merged[before.name] < after.date


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("start: {}\nreleases: []\n", "author"),
        ("started: 1\n", "unknown key"),
        ("- 1\n", "series.yaml"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_series_is_refused_with_its_file_and_reason(
    source: Path, wrong: str | None, said: str
) -> None:
    file = source / "history" / "series.yaml"
    if wrong is None:
        file.unlink()
    else:
        file.write_text(wrong)
    with pytest.raises(ConfigError, match=said):
        read_series(source)


def test_a_release_of_a_patch_that_is_not_there_is_refused(source: Path) -> None:
    (source / "history" / "0013-chore-release-set-version-2.2.0.patch").unlink()
    with pytest.raises(ConfigError, match=r"releases: there is no 0013-chore"):
        read_series(source)


def test_version_numbers_in_the_series_are_versions(source: Path) -> None:
    file = source / "history" / "series.yaml"
    file.write_text(file.read_text().replace("version: 2.1.0", "version: v2.1"))
    with pytest.raises(ConfigError, match=r"releases\.0\.version"):
        read_series(source)


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    assert set(faults(SOURCE)) == {"errors", "latency", "migration", "smoke", "window-closing"}
    with pytest.raises(
        RequestError, match=r'did you mean "smoke"\?.*errors, latency, migration, smoke'
    ):
        read_fault(SOURCE, "smok")
    with pytest.raises(RequestError, match="errors, latency, migration, smoke"):
        read_fault(SOURCE, "../../etc/passwd")


def test_a_folder_without_patches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no patches"):
        read_patches(tmp_path)
