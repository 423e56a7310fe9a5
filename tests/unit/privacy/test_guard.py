"""What looks like a patient's data is found, named and placed, and never repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import ConfigError, RequestError
from include.privacy import Guard, load_guard, screen
from include.privacy.content import objections
from include.settings import load_settings
from tests.unit.config_copy import ConfigCopy

GUARD = load_guard(load_settings())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see 123-45-6789 for it", "social_security_number"),
        ("123 45 6789", "social_security_number"),
        ("123–45–6789", "social_security_number"),
        ("patient ID: 4711234", "medical_record_number"),
        ("mrn#A1234567", "medical_record_number"),
        ("MRN number 00123456", "medical_record_number"),
        # With characters in it that nobody sees.
        ("123\u200b-45-6789", "social_security_number"),
        ("see 123\u00ad-45-67\u206089 for it", "social_security_number"),
        ("\ufeff1\u200d2\u200d3-45-6789\ufeff", "social_security_number"),
        ("123\ufe0f-45\u034f-6789", "social_security_number"),
        ("maria@\u200bgmail.com", "email_address"),
        # Nor do they hide what stands beside them.
        ("x\u200b123-45-6789", "social_security_number"),
        ("Jane, DOB 1961-02-14", "date_of_birth"),
        ("born on 14 February 1961", "date_of_birth"),
        ("call 555-234-5678", "phone_number"),
        ("call (555) 234-5678 now", "phone_number"),
        ("+49 30 1234567", "phone_number"),
        ("write to maria.gonzalez@gmail.com", "email_address"),
        ("maria@hospital.org.", "email_address"),
        # Somebody else's domain that only begins or ends like ours.
        ("x@notarocord.example", "email_address"),
        ("x@arocord.example.evil.org", "email_address"),
    ],
)
def test_what_identifies_a_patient_is_found(text: str, kind: str) -> None:
    (found,) = GUARD.find(text)
    assert found.kind == kind
    objection = GUARD.objection(text)
    assert objection is not None
    assert objection.startswith(("holds what looks like a ", "holds what looks like an e-mail"))
    assert text[found.start : found.end] not in objection
    assert text[found.start : found.end] not in GUARD.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Release hims-api 2.3.0 in the window of 2026-11-28T07:00:00Z",
        "sha256:3e84b653697171a854c90ab7093c4c190de175cb6d932495b0a744f4a5071240",
        "run manual__2026-11-22T23:42:15.123456+00:00",
        "10.20.30.40:5432 answers; 192.168.100.200 does not",
        "rita.moreno@arocord.example and ops@mail.arocord.example agree",
        "CHG-000123 after CHG-000122",
        "fix(patients): answer 404 for numbers that no patient has",
        "p95 from 1200 ms to 300 ms over 100000 requests",
        "postgresql://hims_api@127.0.0.1:25432/hims",
    ],
)
def test_what_engineers_write_passes(text: str) -> None:
    assert GUARD.find(text) == ()
    assert GUARD.redact(text) == text


def test_several_finds_are_all_taken_out_and_the_rest_stays() -> None:
    text = "MRN 00123456, born 02/14/1961, 123-45-6789; roll back at once"
    assert GUARD.redact(text) == (
        "[medical record number removed], [date of birth removed], "
        "[social security number removed]; roll back at once"
    )


@given(st.text(), st.sampled_from(["123-45-6789", "MRN 00123456", "a@b.org"]), st.text())
def test_nothing_that_is_found_survives_redaction(before: str, secret: str, after: str) -> None:
    text = f"{before} {secret} {after}"
    redacted = GUARD.redact(text)
    for item in GUARD.find(text):
        assert item.start < item.end
    assert f" {secret} " not in redacted
    assert len(GUARD.find(text)) >= 1


def test_what_nobody_sees_shifts_no_place_in_the_text() -> None:
    text = "\u200bfor\u200b 123\u200b-45\u00ad-6789\u200b, Ru\u0308diger: roll\u00ad back"
    (found,) = GUARD.find(text)
    assert text[found.start : found.end] == "123\u200b-45\u00ad-6789"
    assert GUARD.redact(text) == (
        "\u200bfor\u200b [social security number removed]\u200b, Ru\u0308diger: roll\u00ad back"
    )
    assert "at characters 7 to 19" in str(GUARD.objection(text))


@given(
    st.sampled_from(["123-45-6789", "MRN number 00123456", "maria@gmail.com"]),
    st.lists(
        st.tuples(st.integers(0, 18), st.sampled_from("\u200b\u200d\u00ad\u2060\ufeff\ufe0f"))
    ),
)
def test_no_number_of_unseen_characters_hides_what_is_found(
    secret: str, hidden: list[tuple[int, str]]
) -> None:
    written = list(secret)
    for place, char in hidden:
        written.insert(min(place, len(written)), char)
    redacted = GUARD.redact(f"for {''.join(written)} only")
    assert not set(redacted) & set("0123456789@")
    assert redacted.startswith("for ")
    assert redacted.endswith(" only")


def test_a_place_decides_what_happens(config: ConfigCopy) -> None:
    settings = config.settings
    text = "for 123-45-6789"
    with pytest.raises(RequestError, match="title: holds what looks like a social"):
        screen(settings, "change", text, where="title")
    assert screen(settings, "comment", text) == "for [social security number removed]"
    config.replace("privacy.yaml", "comment: redact", "comment: refuse")
    with pytest.raises(RequestError):
        screen(config.settings, "comment", text)
    config.replace("privacy.yaml", "change: refuse", "change: allow")
    assert screen(config.settings, "change", text) == text


def test_a_place_that_the_file_does_not_name_refuses() -> None:
    strict = Guard(GUARD.patterns, {})
    with pytest.raises(RequestError):
        strict.apply("comment", "comment", "123-45-6789")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('finds: ["123-45-6789", ', 'finds: ["123.45.6789", ', "is not found by the pattern"),
        ('passes: ["000-12-3456", ', 'passes: ["123-12-3456", ', "should let it pass"),
        ("title: date of birth\n    regex: '", "title: date of birth\n    regex: '(", "no regular"),
        ("change: refuse", "change: ignore", "change"),
        ("  change: refuse", "  chnage: refuse", "chnage"),
    ],
)
def test_a_file_that_does_not_do_what_it_says_is_refused(
    config: ConfigCopy, old: str, new: str, said: str
) -> None:
    config.replace("privacy.yaml", old, new)
    with pytest.raises(ConfigError, match=said):
        load_guard(config.settings)


def test_without_the_file_nothing_is_screened_and_so_nothing_is_taken(config: ConfigCopy) -> None:
    (config.directory / "privacy.yaml").unlink()
    with pytest.raises(ConfigError, match=r"privacy.yaml"):
        screen(config.settings, "comment", "hello")


@pytest.mark.parametrize(
    "text",
    ["1" * 20_000, "a@" * 10_000, "1-" * 10_000, "born " * 4000, "(555) " * 3000, "a." * 10_000,
     "x" * 9_999 + "@" + "y." * 5_000, "+1 " * 6000],
)  # fmt: skip
def test_hostile_texts_are_answered(text: str) -> None:
    """A pattern that backtracks without end would run into the suite's timeout here."""
    assert GUARD.redact(text)


def test_what_is_too_long_to_be_looked_through_is_not_let_in() -> None:
    conf = {"implementation": {"conf": {"note": "x" * 20_000 + " 123-45-6789"}}}
    ((path, said),) = objections(GUARD, conf)
    assert path == ("implementation", "conf", "note")
    assert "longer than the 20,000 characters" in said
    assert objections(GUARD, {"note": "x" * 20_000}) == []


def test_every_text_of_a_change_is_screened_and_named_by_its_key(config: ConfigCopy) -> None:
    content = {
        "title": "Portal for 123-45-6789",
        "requester": "rita@elsewhere.org",
        "description": "fine",
        "risk": {"level": "low", "answers": ["MRN 00123456", "none"]},
        "scope": {"commit": "a" * 40, "artefact": "sha256:" + "1" * 64},
    }
    found = objections(GUARD, content)
    assert [path for path, _ in found] == [("title",), ("risk", "answers", 0)]
    assert all("00123456" not in said and "123-45" not in said for _, said in found)
    config.replace("privacy.yaml", "change: refuse", "change: allow")
    assert objections(load_guard(config.settings), content) == []


def test_an_address_says_who_somebody_is_and_anything_else_beside_it_is_screened() -> None:
    scope = {"authors": ["maria@gmail.com", "MRN00123456@x.org", "555-234-5678@vtext.com"]}
    content = {
        "requester": "for 123-45-6789",
        "scope": scope,
        "retroactive": {"done_by": "maria@gmail.com", "found_by": "MRN 00123456"},
        "team": "maria@gmail.com",
        "parameters": {"requester": "maria@gmail.com", "commit": "MRN 00123456"},
    }
    assert {path for path, _ in objections(GUARD, content)} == {
        ("requester",),
        ("scope", "authors", 1),
        ("scope", "authors", 2),
        ("retroactive", "found_by"),
        ("team",),
        ("parameters", "requester"),
        ("parameters", "commit"),
    }
