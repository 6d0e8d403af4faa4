"""Numbers as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.numerals import numbers_in, separators_of


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("the number 10", "10"),
        ("the number -10", "-10"),
        ("1-15", "1"),
        ("24ans", "24"),
        ("J'AI 20ANS", "20"),
        ("1,000,000", "1000000"),
        ("O número é 500", "500"),
        ("another is -12.51", "-12.51"),
        ("hi.51", "51"),
        ("hi .51", "0.51"),
        (".51", "0.51"),
        ("-.5", "-0.5"),
        ("£.50", "0.50"),
        ("+7", "7"),
        ("−7", "-7"),
        ("١٢٣٤", "1234"),
        ("٠.٥", "0.5"),
        ("١٬٢٣٤٫٥", "1234.5"),
        ("১২", "12"),
        ("१०", "10"),
        ("five, 5.", "5"),
        ("nothing here", None),
        ("lOO", None),
        (", .", None),
        ("4½", None),
        ("½ or 3", "3"),
        ("9" * 36, "9" * 36),
        ("9" * 37, None),
        ("0" * 99 + "7", "7"),
        ("0" * 100 + "7", None),
    ],
)
def test_the_first_number_is_found_anywhere(text: str, number: str | None) -> None:
    assert next(numbers_in(text), None) == (Decimal(number) if number else None)


@pytest.mark.parametrize(
    ("locale", "text", "numbers"),
    [
        ("de", "1.234,567", ["1234.567"]),
        ("DE", "3,5", ["3.5"]),
        ("de-AT", "3,5", ["3.5"]),
        ("de_CH", "1’234.5 and 1'234.5", ["1234.5", "1234.5"]),
        ("es", "1.000,5", ["1000.5"]),
        ("es_MX", "1,000.5", ["1000.5"]),
        ("fr_FR.UTF-8", "1 000 000,5", ["1000000.5"]),
        ("fr", "1\u202f000 et 5 10", ["1000", "5", "10"]),
        ("fr", "1 0000", ["1", "0"]),
        ("fr", "12345 678", ["12345", "678"]),
        ("pt_BR", "R$ 1.000,50", ["1000.50"]),
        ("pt_PT", "1 000,50", ["1000.50"]),
        ("ar", "١٬٠٠٠٫٥", ["1000.5"]),
        ("tlh", "1,000.5", ["1000.5"]),
    ],
)
def test_separators_are_those_of_the_locale(locale: str, text: str, numbers: list[str]) -> None:
    assert list(numbers_in(text, locale)) == [Decimal(number) for number in numbers]


@pytest.mark.parametrize("locale", ["en", "en_IN", "de", "de_CH", "es", "es_MX", "fr", "it", "pt", "pt_PT", "ru", "tr"])
def test_the_separators_agree_with_the_unicode_cldr(locale: str) -> None:
    babel = pytest.importorskip("babel")
    symbols = babel.Locale.parse(locale).number_symbols["latn"]
    point, group = separators_of(locale)
    assert symbols["decimal"] == point
    assert symbols["group"] in group


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_a_number_written_with_separators_is_read_back(number: Decimal) -> None:
    assert list(numbers_in(f"it is {number:,f}!")) == [number]
    german = f"{number:,f}".translate(str.maketrans(",.", ".,"))
    assert list(numbers_in(f"es sind {german} Euro", "de")) == [number]
