"""Numbers as people write them: digits of any script, with the separators of their locale.

As in RapidPro's `has_number`: a grouping separator is passed over wherever it stands, a run that holds a
numeral which is no digit (½, ²) is not a number, and neither is one of more than 36 significant digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache

from engine.core.locales import locale_name

LONGEST = 36  # significant digits
WIDEST = 100  # digits in all

# How numbers are written where not as in 1,000.50; from the Unicode CLDR, by language or language and region.
_COMMA_AND_DOT = """
    ast az bs ca da de el es eu fo fy gl hr ia id is it jv ku lb lo mk nl pt ro rw sc sl sr su tr vi wo
    ar_DZ ar_LB ar_LY ar_MA ar_MR ar_TN fr_LU ms_ID"""
_COMMA_AND_SPACE = """
    af be bg br cs eo et fi fr ht hu hy ka kab kk ky lt lv nb nn no pl ru se sk sq sv tg tk tt uk uz
    es_CR pt_AO pt_CH pt_CV pt_GW pt_LU pt_MZ pt_PT pt_ST pt_TL"""
_DOT_AND_QUOTE = "gsw rm de_CH de_LI en_CH it_CH"
_DOT_AND_COMMA = "es_419 es_BZ es_CU es_DO es_GT es_HN es_MX es_NI es_PA es_PE es_PR es_SV es_US"
_SPACES = " \u00a0\u202f"
_SEPARATORS = {
    locale: separators
    for locales, separators in (
        (_COMMA_AND_DOT, (",", ".")),
        (_COMMA_AND_SPACE, (",", _SPACES)),
        (_DOT_AND_QUOTE, (".", "'’")),
        (_DOT_AND_COMMA, (".", ",")),
    )
    for locale in locales.split()
}
_UNREADABLE = "\0"  # stands for a numeral that is no digit


class CharacterTable(dict[int, str]):
    """A table for `str.translate` that works a character out when it first meets it, and keeps so many."""

    def __init__(self, of: Callable[[str], str], known: dict[str, str] | None = None) -> None:
        super().__init__({ord(char): text for char, text in (known or {}).items()})
        self._of = of

    def __missing__(self, point: int) -> str:
        text = self._of(chr(point))
        if len(self) < 20_000:
            self[point] = text
        return text


def numbers_in(text: str, locale: str = "en") -> Iterator[Decimal]:
    """The numbers in `text`, as someone of `locale` (`de`, `pt_BR`, `en-GB`) writes them.

    >>> list(numbers_in("£1,000.50, then -3")), list(numbers_in("1.000,50 €", "de"))
    ([Decimal('1000.50'), Decimal('-3')], [Decimal('1000.50')])
    """
    if _ANY_DIGIT.search(text) is None:
        return
    is_plain = text.isascii() and _UNREADABLE not in text
    for found in _pattern(locale).finditer(text if is_plain else text.translate(_DIGITS)):
        sign, whole, fraction, bare = found.groups(default="")
        number = _decimal(sign, whole, fraction or bare)
        if number is not None:
            yield number


def separators_of(locale: str) -> tuple[str, str]:
    """The decimal separator of a locale and the characters that group its thousands."""
    exact, language = locale_name(locale).keys
    return _SEPARATORS.get(exact) or _SEPARATORS.get(language, (".", ","))


def _in_digits(char: str) -> str:
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    return _UNREADABLE if unicodedata.category(char)[0] == "N" else char


_DIGITS = CharacterTable(_in_digits, {_UNREADABLE: " ", "−": "-"})
_ANY_DIGIT = re.compile(r"\d")
_DIGIT = f"[0-9{_UNREADABLE}]"


@lru_cache(maxsize=256)
def _pattern(locale: str) -> re.Pattern[str]:
    """What may be a number: sign, whole and fraction, or sign and a fraction that no word runs into."""
    point, group = separators_of(locale)
    if group == _SPACES:  # a space parts other things too, so it groups only threes
        whole = rf"{_DIGIT}{{1,3}}(?:[{group}]{_DIGIT}{{3}})+(?!{_DIGIT})|{_DIGIT}+"
    else:
        whole = rf"[0-9{_UNREADABLE}{group}٬]+"
    fraction = rf"[{point}٫]({_DIGIT}+)"
    return re.compile(rf"([-+]?)(?:({whole})(?:{fraction})?|(?<!\w){fraction})")


def _decimal(sign: str, whole: str, fraction: str) -> Decimal | None:
    if _UNREADABLE in whole or _UNREADABLE in fraction:
        return None
    digits = whole if whole.isdigit() else "".join(filter(str.isdigit, whole))
    written = digits + fraction
    if not written or len(written) > WIDEST or len(written.strip("0")) > LONGEST:
        return None
    return Decimal(f"{sign}{digits}.{fraction}" if fraction else f"{sign}{digits}")
