"""Regular expressions of authors. The first table holds facts of nyaruka/goflow's tests of `has_pattern`."""

from __future__ import annotations

import pytest

from engine.core.patterns import PatternError
from engine.core.responses import compile_matcher, match_response


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (r"<\w+>", "<html>x</html>", "<html>"),
        ("HTML", "<html>x</html>", "html"),
        ("(?-i)HTML", "<html>x</html>", None),
        (r"\A\d{5}\z", "12345", "12345"),
        (r"\A\d{5}\z", "12345 ", None),
        (r"\A\d{5}\z", " 12345", None),
        ("[😀-🙏]", "hi there 😂", "😂"),
        ("[😀-🙏]", "hi there", None),
        (r"buy (\w+)", "Buy cheese please", "Buy cheese"),
        ("^two$", "one\ntwo", "two"),
        ("é(.)", "café \ud800 é!", "é "),
    ],
)
def test_a_pattern_reads_the_text_as_it_came(pattern: str, text: str, value: str | None) -> None:
    assert match_response({"pattern": pattern}, text) == value


@pytest.mark.parametrize(
    ("pattern", "position"),
    [("[", 0), ("ab**", 2), ("x(?=a)", 1), ("(a", 2), ("ab)", 2), ("  [b-a]", 3), ("a\ud800", 1)],
)
def test_an_invalid_pattern_says_where(pattern: str, position: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError, match="expected RE2 syntax") as caught:
        compile_matcher({"pattern": pattern})
    assert caught.value.position == position
    assert capfd.readouterr() == ("", "")
