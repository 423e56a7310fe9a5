"""Setting up: pip's configuration as uv understands it, and the Makefile's own manners."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.compose_file import ROOT
from tools import environment
from tools.locks import LOCKS
from tools.uv import as_uv, pip_settings


def test_variables_beat_files_and_files_of_the_user_come_through() -> None:
    listed = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.cert='/etc/ca.pem'\n"
        "install.find-links='/wheels'\n"
        ":env:.cert='/other.pem'\n"
    )
    settings = pip_settings(
        listed, {"PIP_INDEX_URL": "https://near.example/simple", "PATH": "/bin"}
    )
    assert settings == {
        "index-url": "https://near.example/simple",
        "cert": "/other.pem",
        "find-links": "/wheels",
    }


def test_pips_words_become_uvs() -> None:
    settings = {
        "index-url": "https://near.example/simple",
        "extra-index-url": "https://a.example/simple\n https://b.example/simple",
        "find-links": "/wheels /more",
        "cert": "/ca.pem",
        "default-timeout": "60",
    }
    assert as_uv(settings, {}) == {
        "UV_DEFAULT_INDEX": "https://near.example/simple",
        "UV_INDEX": "https://a.example/simple https://b.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": "/wheels,/more",
        "SSL_CERT_FILE": "/ca.pem",
        "UV_HTTP_TIMEOUT": "60",
    }


@pytest.mark.parametrize("told", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_what_uv_is_told_itself_stands(told: str) -> None:
    assert as_uv({"index-url": "https://near.example/simple"}, {told: "https://own.example"}) == {}


def test_nothing_is_made_up_where_pip_says_nothing() -> None:
    assert as_uv(pip_settings("", {}), {}) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_stamp_that_cannot_be_read_means_that_nothing_is_installed(
    tmp_path: Path, content: str
) -> None:
    stamp = tmp_path / "stamp"
    assert environment.read_stamp(stamp) == {}
    stamp.write_text(content)
    assert environment.read_stamp(stamp) == {}


def test_an_environment_with_the_tools_serves_a_run_too() -> None:
    both = environment.wanted_stamp(dev=True)
    assert environment.wanted_stamp(dev=False).items() < both.items()


def test_every_lock_has_hashes_for_every_package() -> None:
    for lock in LOCKS:
        blocks = re.split(r"\n(?=\w)", (ROOT / lock.file).read_text())
        assert len(blocks) >= 1
        assert [block for block in blocks if "--hash=sha256:" not in block] == [], lock.file


def make(*arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # `make test` runs this file, too, and would pass its own flags on.
    own = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}
    return subprocess.run(
        ["make", *arguments],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if name not in own},
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) - {"setup-dev", "python"}
    listed = make()
    assert listed.returncode == 0
    assert set(re.findall(r"^  make (\S+)", listed.stdout, re.MULTILINE)) == targets


def test_make_works_from_another_directory(tmp_path: Path) -> None:
    assert make("-f", str(ROOT / "Makefile"), directory=tmp_path).stdout == make().stdout


def test_a_missing_python_is_a_clear_error() -> None:
    done = make("PYTHON=", "setup")
    assert done.returncode != 0
    assert "Python 3.11 was not found" in done.stderr


def test_the_ci_script_is_well_formed() -> None:
    script = str(ROOT / ".ci" / "run")
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
