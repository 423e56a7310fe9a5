"""What `./hims rehearse` refuses before it asks for a stack or triggers anything."""

from __future__ import annotations

import pytest

from include.cli import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hims-web", "1.0.0"), "hims-web runs production on kubernetes"),
        (("hims-wbe", "1.0.0"), 'service "hims-wbe" is not configured'),
        (("hims-api", "2.3.0;id"), "is not a version"),
        (("hims-api", ""), "is not a version"),
        (("", "2.3.0"), 'service "" is not configured'),
        (("hims-api", "2.5.0", "--fault", "smoek"), "smoke"),
    ],
    ids=[
        "another target",
        "an unknown service",
        "shell characters",
        "an empty version",
        "an empty service",
        "an unknown fault",
    ],
)
def test_a_request_without_sense_is_misuse(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert main(["rehearse", *words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_an_unknown_strategy_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rehearse", "--strategy", "blue-green"])
    assert ended.value.code == 2
    assert "invalid choice: 'blue-green'" in capsys.readouterr().err
