"""Phone numbers and email addresses inside a text, found as RapidPro's `has_phone` and `has_email` find them.

A phone number is digits with spaces, dots, hyphens and brackets between them that the library phonenumbers takes for
possible: valid in length for its country, assigned or not. An address is what looks like one; nothing here asks
whether anybody lives there. Any text is fine, and the time is linear in its length.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice

_MOST = 100  # candidates looked at closely; a text with more failures before its number holds no number
_SHORTEST, _LONGEST = 5, 17  # digits: the first is RapidPro's, the other E.164's 15 and a prefix to dial out
_CANDIDATE = re.compile(r"\+?[0-9 .()-]{5,}")
_RUN = re.compile(r"[-+$~.\w]+")
_DOMAIN = re.compile(r"[^\W_][-\w]*(?:\.[^\W_][-\w]*)+")
_FIRST = re.compile(r"[^\W_]")


def find_phone(text: str, country: str = "") -> str | None:
    """The first phone number in `text`, in E.164; without a `country` only one written with its `+`.

    >>> find_phone("my number is (206) 779-9294, call me", "US"), find_phone("my number is 206 779 9294")
    ('+12067799294', None)
    """
    found = _CANDIDATE.findall(text)
    likely = (each for each in found if _SHORTEST <= sum(map(str.isdigit, each)) <= _LONGEST)
    return next((phone for each in islice(likely, _MOST) if (phone := _parsed(each.strip(), country))), None)


def find_email(text: str) -> str | None:
    """The first email address in `text`, as it was written.

    >>> find_email("mine is <Ann.Lee+news@example.org>.")
    'Ann.Lee+news@example.org'
    """
    if "@" not in text:
        return None
    for run in _RUN.finditer(text):
        at, first = run.end(), _FIRST.search(run[0])
        if first is not None and text.startswith("@", at) and (domain := _DOMAIN.match(text, at + 1)):
            return text[run.start() + first.start() : domain.end()]
    return None


@cache
def countries() -> frozenset[str]:
    """Every country that has phone numbers, by its two letters."""
    import phonenumbers  # takes longer to import than a file to check, and few campaigns ask for phones

    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def _parsed(written: str, country: str) -> str | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(written, country or None)
    except phonenumbers.NumberParseException:
        return None
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if possible else None
