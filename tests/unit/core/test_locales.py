"""What locales say, measured against the Unicode CLDR as Babel carries it."""

from __future__ import annotations

import re

import pytest

from engine.core.locales import date_order_of, locale_name

_LOCALES = """
    en_US en_GB en_CA en_AU en_IN en_ZA en_SE en_PH en_PR en_NG en_IE de de_DE de_AT de_CH fr fr_FR fr_CA fr_CH es
    es_ES es_MX es_PA es_PR es_US it pt pt_BR nl nl_BE da nb nn fi sv sv_SE sv_FI pl cs sk sl hr sr bg ro hu el tr uk
    ru et lv lt is sq mk eu ca gl ja ko zh zh_Hans_CN zh_Hans_SG zh_Hant_TW zh_Hant_HK vi th id ms fil hi bn ta te ur
    fa fa_IR ar ar_EG ar_SA he sw am om ti rw af zu xh st tn mn ne si kk uz ka hy az ky mg eo ug
"""


@pytest.mark.parametrize("locale", _LOCALES.split())
def test_the_order_of_dates_is_that_of_the_unicode_cldr(locale: str) -> None:
    babel = pytest.importorskip("babel")
    pattern = re.sub("'[^']*'", "", babel.Locale.parse(locale).date_formats["short"].pattern)
    order = dict.fromkeys(char for char in pattern.replace("L", "M").lower() if char in "dmy")
    assert date_order_of(locale) == "".join(order)


@pytest.mark.parametrize("locale", ["en", "", "xx", "en_GB.UTF-8", "EN-gb", "de_DE@euro", "_US"])
def test_day_month_year_is_what_is_left(locale: str) -> None:
    assert date_order_of(locale) == "dmy"


@pytest.mark.parametrize(
    ("locale", "language", "region"),
    [
        ("pt-br", "pt", "BR"),
        ("zh_Hant_TW", "zh", "TW"),
        ("es_419", "es", "419"),
        ("de", "de", ""),
        ("ca_ES_valencia", "ca", "ES"),
        ("en_US.UTF-8", "en", "US"),
        ("", "", ""),
    ],
)
def test_a_name_is_taken_apart(locale: str, language: str, region: str) -> None:
    assert locale_name(locale) == (language, region)
