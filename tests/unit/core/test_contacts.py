"""Phones and addresses in texts. The tables hold facts of nyaruka/goflow's tests of `has_phone` and `has_email`."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.contacts import countries, find_email, find_phone


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("+250788123123", "", "+250788123123"),
        ("u812111005611", "ID", "+62812111005611"),
        ("oioas812111", "US", None),
        ("+593979111111", "", "+593979111111"),
        ("0788123123", "RW", "+250788123123"),
        ("0788123123", "", None),
        ("+12065551212", "RW", "+12065551212"),
        ("12065551212", "US", "+12065551212"),
        ("206 555 1212", "US", "+12065551212"),
        ("(202) 456-1111", "US", "+12024561111"),
        ("202.456.1111, not 202.456.2222", "US", "+12024561111"),
        ("5912705", "US", None),
        ("+10001112222", "US", "+10001112222"),
        ("0815 1053 7962", "ID", "+6281510537962"),
        ("0954 1053 7962", "ID", "+6295410537962"),
        ("0811-1005-611", "ID", "+628111005611"),
        ("10000", "US", None),
        ("12067799294", "BW", None),
        ("none of your business", "US", None),
    ],
)
def test_a_phone_number_is_found_in_a_sentence(text: str, country: str, phone: str | None) -> None:
    assert find_phone(f"my number is {text}", country) == phone
    assert find_phone(f"my number is {text} thanks", country) == phone


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("my email is foo@bar.com.", "foo@bar.com"),
        ("my email is <foo~$1+spam@bar-2.com>", "foo~$1+spam@bar-2.com"),
        ("FOO@bar.whatzit", "FOO@bar.whatzit"),
        ("FOO@βήτα.whatzit", "FOO@βήτα.whatzit"),
        ("mailto:ann.lee@mail.example.co.uk, please", "ann.lee@mail.example.co.uk"),
        ("...ann@example.org", "ann@example.org"),
        ("a@@b.c, I mean x@y.z", "x@y.z"),
        ("email is foo @ bar . com", None),
        ("email is foo@bar", None),
        ("-@example.org", None),
        ("", None),
    ],
)
def test_an_email_address_is_found_as_it_was_written(text: str, email: str | None) -> None:
    assert find_email(text) == email


_words = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=5)


@given(st.lists(_words, max_size=4), _words, _words, _words)
def test_an_address_is_found_wherever_it_stands(before: list[str], name: str, host: str, land: str) -> None:
    address = f"{name}@{host}.{land}"
    assert find_email(" ".join([*before, address, "thanks"])) == address


@pytest.mark.parametrize("piece", ["a", "a@", "@", "a@b", "a.", "1234567 x", "0", " ", "+", "(0)-", "+1 206 x "])
def test_a_megabyte_takes_bounded_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    started = time.perf_counter()
    find_email(text)
    find_phone(text, "US")
    assert time.perf_counter() - started < 3


def test_countries_are_known_by_two_letters() -> None:
    assert {"GB", "US", "RW", "DE"} <= countries()
    assert "UK" not in countries()
