"""YAML files as people, editors and attackers write them: read whole, or refused with a reason."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from include.documents import (
    MAX_BYTES,
    Section,
    load_section,
    parse_document,
    read_document,
    validate_document,
)
from include.errors import ConfigError, Problem
from include.yaml_text import MAX_DEPTH, MAX_PROBLEMS


class Hours(Section):
    start: str
    end: str
    days: tuple[int, ...] = ()


class Calendar(Section):
    timezone: str = "UTC"
    windows: dict[str, Hours] = Field(default_factory=dict)
    extra: Hours | None = None
    several: tuple[Hours, ...] = ()


def problems(text: str | bytes, model: type[Section] = Calendar) -> list[Problem]:
    """Return what is wrong with a document, [] when nothing is."""
    raw = text if isinstance(text, bytes) else text.encode()
    try:
        validate_document(parse_document(raw, "a.yaml"), model)
    except ConfigError as error:
        return list(error.problems)
    return []


def only(text: str | bytes) -> Problem:
    """Return the one thing that is wrong."""
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def test_a_good_file_is_read_with_the_line_of_everything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_text(
        "timezone: Europe/Oslo\nwindows:\n  night:\n    start: '02:00'\n    end: '04:00'\n"
    )
    document = read_document(path, name="config/calendar.yaml")
    assert document.line(("windows", "night", "start")) == 4
    assert document.line(("windows", "night", "days", 3)) == 3
    assert load_section(path, Calendar).windows["night"].end == "04:00"


def test_an_empty_file_is_a_file_without_keys() -> None:
    assert problems("") == []
    assert problems("# nothing but a comment\n") == []


def test_a_bom_is_no_part_of_the_first_key() -> None:
    assert problems(b"\xef\xbb\xbftimezone: UTC\n") == []


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("timezone: UTC\n\twindows: {}\n", 2, "a tab character that violates indentation"),
        ("timezone: 'U\nTC\n", 2, "unexpected end of stream"),
        ("timezone: UTC\n  windows: {}\n", 2, "mapping values are not allowed in this context"),
        ("timezone: [1, 2\n", 1, "not YAML"),
        (b"timezone: UTC\nwindows: \x00{}\n", 2, "the character U+0000 is not allowed"),
        ("a: 1\n---\nb: 2\n", 2, "more than one document"),
        ("%YAML 9.9\n---\na: 1\n", 1, "incompatible YAML document"),
        ('a: "\\U00110000"\n', None, "not YAML"),
        ('a: "\\UFFFFFFFF"\n', None, "not YAML"),
        ('a: "\\ud800"\n', 1, "invalid Unicode character"),
        ('"\\ud800": 1\n', 1, "invalid Unicode character"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(
    text: str | bytes, line: int | None, said: str
) -> None:
    found = only(text)
    assert said in found.message
    if line is not None:
        assert found.line == line


def test_what_is_not_utf_8_says_at_which_byte() -> None:
    assert "is not UTF-8 (byte 10)" in only(b"timezone: \xff\xfe").message
    assert "is not UTF-8" in only("timezone: Zürich\n".encode("latin-1")).message
    assert "is not UTF-8" in only("timezone: UTC\n".encode("utf-16")).message


def test_a_file_larger_than_any_of_ours_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"a: " + b"x" * MAX_BYTES)
    with pytest.raises(ConfigError, match="larger than 1,000,000 bytes"):
        read_document(path)


def test_a_file_that_is_not_there_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: cannot be read: No such file"):
        read_document(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path)


def test_an_alias_bomb_is_refused_and_never_unfolded() -> None:
    levels = ['a0: &a0 ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    for level in range(1, 12):
        copies = ", ".join([f"*a{level - 1}"] * 9)
        levels.append(f"a{level}: &a{level} [{copies}]")
    found = problems("\n".join(levels))
    assert found
    assert all("aliases (*name) are not allowed" in item.message for item in found)


@pytest.mark.parametrize("anchored", ["text", "[1, 2]", "{a: 1}", "''"])
def test_an_alias_is_refused_where_it_stands_whatever_it_repeats(anchored: str) -> None:
    found = only(f"timezone: &z {anchored}\nother:\n  deep: *z\n")
    assert (found.line, found.key) == (3, "other.deep")
    assert "aliases" in found.message


def test_an_alias_to_its_own_beginning_ends() -> None:
    assert "aliases" in only("a: &a\n  b: *a\n").message
    assert "aliases" in only("a: &a [*a]\n").message


def test_merge_keys_are_refused() -> None:
    found = problems("base: &b {start: '1', end: '2'}\nextra:\n  <<: *b\n")
    assert any("merge keys (<<) are not allowed" in item.message for item in found)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_beyond_any_use_is_refused_however_deep(opening: str) -> None:
    for depth in (MAX_DEPTH + 2, 400, 3_000):
        found = problems(f"a:\n  {opening * depth}")
        assert found, depth


def test_nesting_is_refused_where_it_becomes_too_deep() -> None:
    deep = "a: " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
    assert f"nested deeper than {MAX_DEPTH} levels" in only(deep).message
    fine = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert parse_document(fine.encode(), "a.yaml").data


def test_a_key_given_twice_is_refused_at_the_second_place() -> None:
    found = only("windows:\n  a: {start: '1', end: '2'}\n  a: {start: '3', end: '4'}\n")
    assert (found.line, found.key, found.message) == (3, "windows.a", "given twice")
    assert only("1: a\n'1': b\n").message == "given twice"


def test_a_key_that_is_no_text_is_refused() -> None:
    assert only("? [1, 2]\n: x\n").message == "a key must be plain text"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2026-02-30", "day is out of range for month"),
        ("2026-13-01", "month must be in 1..12"),
        ("2026-01-01T25:00:00Z", "hour must be in 0..23"),
        ("2026-01-01T00:00:00+99:99", "offset must be"),
        ("9" * 5000, "Exceeds the limit"),
        ("!!int ''", "''"),
        ("!!bool perhaps", "'perhaps'"),
        ("!!float ''", "''"),
        ("!!timestamp soon", "'soon'"),
        ("!!binary 'abc'", "base64"),
        ("!!python/object/apply:os.system ['true']", "is not allowed"),
        ("!!python/name:os.system x", "could not determine a constructor"),
        ("!ours x", "could not determine a constructor"),
        ("!!set {x}", "is not allowed"),
        ("!!omap [a: 1]", "is not allowed"),
        ("=", "could not determine a constructor"),
    ],
)
def test_a_value_that_cannot_be_one_is_refused_with_its_key(value: str, said: str) -> None:
    found = only(f"# first\ntimezone: {value}\n")
    assert (found.file, found.line, found.key) == ("a.yaml", 2, "timezone")
    assert said in found.message


def test_a_date_that_exists_stays_one() -> None:
    assert parse_document(b"on: 2028-02-29\n", "a.yaml").data == {"on": date(2028, 2, 29)}


@pytest.mark.parametrize(
    ("text", "line", "key", "meant"),
    [
        ("timezon: UTC\n", 1, "timezon", "timezone"),
        ("windows:\n a:\n  strat: ''\n  start: ''\n  end: ''\n", 3, "windows.a.strat", "start"),
        ("extra:\n  start: '1'\n  edn: x\n  end: '2'\n", 3, "extra.edn", "end"),
        ("several:\n- start: ''\n  end: ''\n  dayz: []\n", 4, "several.0.dayz", "days"),
    ],
)  # fmt: skip
def test_an_unknown_key_names_its_line_and_what_was_meant_at_any_depth(
    text: str, line: int, key: str, meant: str
) -> None:
    found = only(text)
    assert (found.line, found.key) == (line, key)
    assert found.message == f'unknown key; did you mean "{meant}"?'


def test_a_key_unlike_any_other_is_answered_with_those_there_are() -> None:
    assert only("qqq: 1\n").message == "unknown key; known: extra, several, timezone, windows"


def test_everything_wrong_is_said_at_once() -> None:
    found = problems("timezone: 5\nwindows: {a: {start: '1'}}\nzzz: 1\n")
    places = [(item.line, item.key) for item in found]
    assert sorted(places) == [(1, "timezone"), (2, "windows.a.end"), (3, "zzz")]


@pytest.mark.parametrize(
    "text", ["- 1\n", "5\n", "just a sentence\n", "windows: [1]\n", "extra: 3\n"]
)
def test_a_value_where_keys_belong_says_so(text: str) -> None:
    assert any("must hold keys with values" in item.message for item in problems(text))


def test_a_long_value_is_not_repeated_whole() -> None:
    assert len(only(f"several: {'x' * 5000}\n").message) < 200


# JSON writes what is beyond U+FFFF as two halves, which YAML does not put together.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), TEXTS)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
WORDS = (
    """a|windows|: |:|- |[|]|{|}|, |&x |*x|'|"|!!|!!int |!!bool |!<|? |# |...|%|<<|~|0x|0b_|1:60"""
)
FRAGMENTS = st.lists(
    st.sampled_from(
        [*WORDS.split("|"), "|\n", ">\n", "\n", "\n  ", "---\n", "\t", "\x00", "\x85", "\ufeff"]
    ),
    max_size=30,
).map("".join)


@given(st.one_of(st.binary(max_size=200), FRAGMENTS.map(lambda text: text.encode())))
@example(b"a: !!bool x")
@example(b'"\\ud800": 1')
def test_whatever_the_bytes_the_answer_is_a_value_or_a_config_error(raw: bytes) -> None:
    for item in problems(raw):
        assert item.message
        str(item).encode()


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), TREES, max_size=5))
@settings(max_examples=60)
def test_what_json_says_is_read_as_json_means_it(tree: dict[str, object]) -> None:
    raw = json.dumps(tree).encode()
    assert parse_document(raw, "a.json").data == tree


def test_a_megabyte_of_yaml_is_read_or_refused_by_what_it_says() -> None:
    lines = "".join(
        f"  w{index}: {{start: '02:00', end: '04:00', days: [1]}}\n" for index in range(18_000)
    )
    document = parse_document(f"windows:\n{lines}".encode(), "a.yaml")
    assert len(document.data["windows"]) == 18_000
    assert document.line(("windows", "w17999", "end")) == 18_001


@pytest.mark.parametrize("text", ["a: &a x\nb: [" + "*a, " * 60_000 + "]", "k: 1\n" * 60_000])
def test_of_a_file_full_of_mistakes_the_first_are_told(text: str) -> None:
    assert len(problems(text)) == MAX_PROBLEMS


def test_of_many_unknown_keys_the_first_are_told_and_the_others_counted() -> None:
    found = problems("".join(f"k{index}: 1\n" for index in range(1050)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].message == "1,000 more things are wrong in it"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "?\n - "])
def test_a_megabyte_of_openings_ends_where_it_is_too_deep(opening: str) -> None:
    assert problems("a:\n  " + opening * (900_000 // len(opening)))


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="it is no regular file"):
        read_document(pipe)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(Path("a\0b.yaml"))


def test_what_a_reader_does_with_a_document_is_nobody_else_s_and_a_change_of_the_file_is_seen(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: [1, 2]}\n")
    first = read_document(path)
    first.data["a"]["b"].append(3)
    first.data["c"] = 4
    assert read_document(path).data == {"a": {"b": [1, 2]}}
    path.write_text("a: {b: [1, 5]}\n")
    assert read_document(path).data == {"a": {"b": [1, 5]}}
    path.write_text("a: [\n")
    with pytest.raises(ConfigError):
        read_document(path)
