"""What a locale's name says: language, region, and the order in which dates are written there.

Names come as `en`, `en_GB`, `pt-BR`, `zh_Hant_TW` or `de_DE.UTF-8`, in any case. The orders of dates are those of
the short date patterns in the Unicode CLDR, as Babel 2.19 carries it. Nothing here raises: what is not known reads
as its language does, and day, month, year is the order of most of the world.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

DateOrder = Literal["dmy", "mdy", "ymd"]
DATE_ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)

# By language, or language and region where that differs. `en` alone is what somebody of unknown locale gets, so
# it keeps the common order; CLDR gives it the American one.
_YEAR_FIRST = """
    af bo ce ckb cu dz eo eu fa gn hu ii ja ko lt mg mn mzn ne nr nso ps rw sah sd se shn si sn ss st sv tn ts tyv ug
    ve vo wa yue za zh zu en_CA en_SE en_ZA fr_CA ha_SD uz_AF"""
_MONTH_FIRST = """
    ak ceb chr ee fil iu ks lkt om or ti xh
    en_AS en_BI en_GU en_MH en_MP en_PH en_PR en_UM en_US en_VI es_PA es_PR sd_IN"""
_DAY_FIRST = "se_FI sv_FI zh_HK zh_MO zh_SG"
_LISTS: dict[DateOrder, str] = {"ymd": _YEAR_FIRST, "mdy": _MONTH_FIRST, "dmy": _DAY_FIRST}
_ORDERS = {locale: order for order, locales in _LISTS.items() for locale in locales.split()}
_REGION = re.compile(r"[A-Za-z]{2}|[0-9]{3}")


class LocaleName(NamedTuple):
    """The parts of a locale's name that matter here; `region` is empty when it names none."""

    language: str
    region: str

    @property
    def keys(self) -> tuple[str, str]:
        """How tables by locale name it, the more exact first.

        >>> locale_name("pt-br").keys
        ('pt_BR', 'pt')
        """
        return f"{self.language}_{self.region}", self.language


@lru_cache(maxsize=1024)
def locale_name(locale: str) -> LocaleName:
    """The parts of a locale's name.

    >>> locale_name("zh_Hant_TW"), locale_name("de")
    (LocaleName(language='zh', region='TW'), LocaleName(language='de', region=''))
    """
    language, *others = re.split(r"[.@]", locale, maxsplit=1)[0].replace("-", "_").split("_")
    region = next((part.upper() for part in others if _REGION.fullmatch(part)), "")
    return LocaleName(language.lower(), region)


def date_order_of(locale: str) -> DateOrder:
    """The order in which people of `locale` write day, month and year.

    >>> date_order_of("en_GB"), date_order_of("en_US"), date_order_of("sv")
    ('dmy', 'mdy', 'ymd')
    """
    exact, language = locale_name(locale).keys
    return _ORDERS.get(exact) or _ORDERS.get(language, "dmy")
