"""What makes a row of an audience a recipient: a key, possible addresses, a known zone, facts of the right type.

`Admission` judges rows one by one, for one campaign; it does no I/O. The facts of a conversation are those of the
campaign's context, with the recipient's own before them. An empty cell is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfoNotFoundError

from engine.core.durations import zone_of
from engine.core.expressions import Accessor, compile_guard, parse_expression
from engine.core.fact_types import FactType
from engine.core.facts import fact_to_json, parse_fact
from engine.core.problems import expected_one_of
from engine.core.spec import CampaignTypeSpec

COLUMNS = ("key", "email", "phone", "timezone", "locale")
PRIORITIES = ("high", "normal", "low")
_ADDRESSES = {"email": "email", "sms": "phone"}  # what a channel needs, where that is an address
_LONGEST_KEY = 255

# Accepts nothing that email-validator would refuse, only what is plain and too short for any limit. The rest asks it.
_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+(?!(?:arpa|invalid|local|localhost|onion)$)[a-z]{2,}",
    re.ASCII | re.IGNORECASE,
)
_PLAIN_LENGTH = 64
_PHONE = re.compile(r"\+?[0-9]{6,15}")
_PHONE_MARKS = str.maketrans("", "", " -./()")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[_-][A-Za-z0-9]{2,8})*")


class Recipient(NamedTuple):
    """A row that may go in. `facts` are its own, as JSON data; `priority` is an index into PRIORITIES."""

    key: str
    email: str
    phone: str
    timezone: str
    locale: str
    facts: dict[str, Any]
    priority: int


class Admission:
    """Judges the rows of one audience for one campaign; `warnings` tells what of the columns is not used."""

    def __init__(
        self, spec: CampaignTypeSpec, columns: Sequence[str], context: Mapping[str, Any], priority: str, zone: str
    ) -> None:
        """`context` holds the campaign's facts as values; `zone` is where a row without a time zone lives."""
        place = {name: index for index, name in enumerate(columns)}
        self._places = [place.get(name, -1) for name in COLUMNS]
        self._facts = [(place[name], name, kind) for name, kind in spec.facts.items() if name in place]
        self._required = [name for name, kind in spec.facts.items() if not kind.optional and name not in context]
        self._converted = {name for _, name, kind in self._facts if kind.kind in ("number", "date", "datetime")}
        self._address = _ADDRESSES.get(spec.channel, "")
        self._channel = spec.channel
        self._context = context
        self._zone = zone
        self._priority = PRIORITIES.index(priority)
        self._guards = [
            (compile_guard(parse_expression(each.when), _fact), PRIORITIES.index(each.is_)) for each in spec.priority
        ]
        self.warnings = _warnings(columns, spec.facts)
        self.missing_columns = [name for name in (*self._required, self._address) if name and name not in place]

    def admit(self, cells: Sequence[str]) -> Recipient:
        """The recipient in a row's cells. Raises ValueError with what is wrong with it."""
        cells = [*map(str.strip, cells), ""]  # the last one stands for every column that is not there
        if "\0" in "".join(cells):
            raise ValueError("a field holds a NUL character")
        key, email, phone, timezone, locale = [cells[place] for place in self._places]
        if not key:
            raise ValueError("no key")
        if len(key) > _LONGEST_KEY:
            raise ValueError(f"the key is longer than {_LONGEST_KEY} characters")
        _check_email(email)
        _check_phone(phone)
        if (self._address == "email" and not email) or (self._address == "phone" and not phone):
            raise ValueError(f"no {self._address}, which the channel {self._channel} needs")
        if timezone and not is_zone(timezone):
            raise ValueError(f"unknown time zone {timezone[:40]!r}; expected one such as Europe/Berlin")
        if locale and not is_locale(locale):
            raise ValueError(f"{locale[:40]!r} is no locale; expected one such as en or en_GB")
        facts = self._read_facts(cells, timezone or self._zone)
        priority = self._find_priority(facts) if self._guards else self._priority
        for name in self._converted:
            if name in facts:
                facts[name] = fact_to_json(facts[name])
        return Recipient(key, email, phone, timezone, locale, facts, priority)

    def _read_facts(self, cells: Sequence[str], zone: str) -> dict[str, Any]:
        facts = {}
        for place, name, kind in self._facts:
            if cell := cells[place]:
                if kind.kind == "text":
                    facts[name] = cell
                    continue
                try:
                    facts[name] = parse_fact(kind, cell, zone)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
        for name in self._required:
            if name not in facts:
                raise ValueError(f"no {name}, a fact that may not be missing")
        return facts

    def _find_priority(self, facts: Mapping[str, Any]) -> int:
        known = {**self._context, **facts}
        return next((priority for guard, priority in self._guards if guard(known)), self._priority)


def _fact(name: str) -> Accessor:
    def read(facts: Mapping[str, Any]) -> Any:
        return facts.get(name)

    return read


def _warnings(columns: Sequence[str], facts: Mapping[str, FactType]) -> list[str]:
    unused = [name for name in columns if name and name not in COLUMNS and name not in facts]
    if not unused:
        return []
    many = len(unused) > 1
    return [
        f"column{'s' * many} {', '.join(unused)} {'are' if many else 'is'} not used, since no fact is called so; "
        + expected_one_of(unused[0], facts)
    ]


def _check_email(email: str) -> None:
    if not email or (len(email) <= _PLAIN_LENGTH and _PLAIN_EMAIL.fullmatch(email)):
        return
    if reason := _reason_against(email):
        raise ValueError(f"the email is not possible: {reason}")


def _reason_against(email: str) -> str:
    from email_validator import EmailNotValidError, validate_email  # slow to import, and seldom needed

    try:
        validate_email(email, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        return str(error)
    return ""


def _check_phone(phone: str) -> None:
    if phone and not _PHONE.fullmatch(phone.translate(_PHONE_MARKS)):
        raise ValueError("the phone number is not possible; expected 6 to 15 digits, as in +44 20 7946 0958")


@lru_cache(maxsize=4096)
def is_zone(name: str) -> bool:
    """Whether the IANA database has a zone of this name.

    >>> is_zone("Europe/Berlin"), is_zone("Europe"), is_zone("Berlin")
    (True, False, False)
    """
    try:
        zone_of(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError for a folder of zones and for absurd lengths
        return False
    return True


@lru_cache(maxsize=4096)
def is_locale(name: str) -> bool:
    """Whether this has the form of a locale.

    >>> is_locale("en"), is_locale("pt-BR"), is_locale("zh_Hant_TW"), is_locale("english please")
    (True, True, True, False)
    """
    return len(name) <= 35 and _LOCALE.fullmatch(name) is not None
