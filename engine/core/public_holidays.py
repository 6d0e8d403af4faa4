"""Public holidays of countries and their subdivisions, from the package `holidays`.

That package takes long to import and to fill, so it is loaded when the first country is asked for, and each
country's year is kept. Years that it knows nothing of have no holidays.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from typing import Any

from engine.core.problems import expected_one_of

_EXPECTED = "expected an ISO 3166 code such as US, or one with a subdivision such as DE-BY"


def is_holiday(day: date, countries: Iterable[str]) -> bool:
    """Whether `day` is a public holiday in any of `countries`, which `parse_country` returned.

    >>> is_holiday(date(2026, 1, 6), ["DE"]), is_holiday(date(2026, 1, 6), ["US", "DE-BY"])
    (False, True)
    """
    return any(day in _holidays_of(country, day.year) for country in countries)


def parse_country(text: object) -> str:
    """The country, with its subdivision, that `text` names. Raises ValueError with what was expected.

    >>> parse_country("DE-BY")
    'DE-BY'
    >>> parse_country("USA")
    Traceback (most recent call last):
    ValueError: 'USA' is not a country; expected an ISO 3166 code such as US, or one with a subdivision such as DE-BY; \
did you mean US?
    >>> parse_country("DE-BX")
    Traceback (most recent call last):
    ValueError: DE has no subdivision 'BX'; expected one of Augsburg, BB, BE, BW, BY, HB, HE, HH, MV, NI, NW, RP, …
    """
    written = text.strip() if isinstance(text, str) else ""
    country, dash, subdivision = written.partition("-")
    code, subdivisions = _entity(country)
    if code is None or code != country:
        hint = f"; did you mean {code}{dash}{subdivision}?" if code else ""
        raise ValueError(f"{str(text)[:40]!r} is not a country; {_EXPECTED}{hint}")
    if dash and subdivision not in subdivisions:
        expected = expected_one_of(subdivision, subdivisions) if subdivisions else f"expected {code} alone"
        raise ValueError(f"{code} has no subdivision {subdivision[:40]!r}; {expected}")
    return written


def _entity(name: str) -> tuple[str | None, tuple[str, ...]]:
    """The code and subdivisions of the country known by `name`: two or three letters in any case, or in English."""
    import holidays

    if name.isascii() and name.isalpha():
        for spelling in (name.upper(), name):
            found: Any = getattr(holidays, spelling, None)
            if isinstance(code := getattr(found, "country", None), str):
                return code, tuple(found.subdivisions)
    return None, ()


@lru_cache(maxsize=4096)
def _holidays_of(country: str, year: int) -> frozenset[date]:
    import holidays

    code, _, subdivision = country.partition("-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of years for which only some of a country's holidays are known
        return frozenset(holidays.country_holidays(code, subdivision or None, years=year))
