from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.templates import TemplateError, compile_template


def render(text: str, **values: Any) -> str:
    return compile_template(text).render(values)


def failure(text: str, **values: Any) -> tuple[str, int, int]:
    with pytest.raises(TemplateError) as caught:
        compile_template(text).render(values)
    return caught.value.message, caught.value.line, caught.value.column


def test_values_are_filled_in_as_plain_text_without_escaping() -> None:
    assert render("<b>{{ name }}</b>", name="A & <B>") == "<b>A & <B></b>"


def test_numbers_dates_and_truth_read_as_an_author_expects() -> None:
    values = {"rating": Decimal("4"), "on": date(2026, 3, 2), "vip": True}
    assert render("{{ rating }} {{ on }} {{ vip }}", **values) == "4 2026-03-02 true"


def test_the_date_filter_formats_dates_instants_and_iso_texts() -> None:
    text = "{{ on | date: '%d.%m.%Y' }}"
    for value in (date(2026, 3, 2), datetime(2026, 3, 2, 9, tzinfo=UTC), "2026-03-02"):
        assert render(text, on=value) == "02.03.2026"


@pytest.mark.parametrize("value", ["now", "today", "10:00", "17", 17])
def test_the_date_filter_never_reads_the_clock_or_the_machines_zone(value: object) -> None:
    assert failure("{{ on | date: '%Y' }}", on=value)[0] == "date cannot take the value it is given"


@pytest.mark.parametrize("name", ["now", "today"])
def test_the_present_is_not_a_value_of_a_template(name: str) -> None:
    assert name in compile_template("{{ " + name + " }}").variables
    assert failure("{{ " + name + " }}")[0] == f"{name!r} is undefined"


@pytest.mark.parametrize("values", [{}, {"nickname": None}])
def test_a_missing_value_is_false_and_gives_way_to_a_default(values: dict[str, Any]) -> None:
    assert render("{{ nickname | default: 'friend' }}", **values) == "friend"
    assert render("{% if nickname %}yes{% else %}no{% endif %}", **values) == "no"
    assert render("{% if nickname == nil %}none{% endif %}", **values) == "none"


@pytest.mark.parametrize("values", [{}, {"nickname": None}])
def test_a_missing_value_that_would_be_written_out_is_an_error_at_its_place(values: dict[str, Any]) -> None:
    assert failure("Hello\n  {{ nickname }}", **values) == ("'nickname' is undefined", 2, 6)


def test_variables_are_the_names_needed_from_outside() -> None:
    template = compile_template(
        "{% assign shout = first_name | upcase %}{{ shout }}"
        "{% for each in items %}{{ each }}{{ forloop.index }}{% endfor %}"
        "{% if plan == 'team' %}{{ seats | default: 1 }}{% endif %}"
        "{{ recipient.email }} {{ campaign['name'] | size }} {{ unsubscribe_url }}"
    )
    assert template.variables == {
        "first_name", "items", "plan", "seats", "recipient.email", "campaign.name", "unsubscribe_url",
    }  # fmt: skip


def test_uses_tell_where_each_value_is_needed() -> None:
    template = compile_template("Hi {{ a }}\n{{ b }} {{ a }}")
    assert template.uses == (("a", 1, 7), ("b", 2, 4), ("a", 2, 12))


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("Hi {{ name }", "expected '}}', found end of file", 1, 4),
        ("Hi\n {% if a %}", "expected tag endif, found end of expression", 2, 2),
        ("Hi {{ a }}\n{{ b. }} {{ c }}", "expected an identifier, found end of expression", 2, 1),
        ("{{ a b }}", "expected end of expression, found word", 1, 6),
        ("Hi {{ a | shout }}", "unknown filter 'shout'", 1, 11),
        ("{% include 'other' %}", "unexpected tag 'include'", 1, 4),
        ("{% render 'other' %}", "unexpected tag 'render'", 1, 4),
    ],
)
def test_bad_syntax_names_its_line_and_column(text: str, message: str, line: int, column: int) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    assert (caught.value.message, caught.value.line, caught.value.column) == (message, line, column)


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in (1..1000000) %}x{% endfor %}",
        "{% for i in (1..200) %}{% for j in (1..200) %}x{% endfor %}{% endfor %}",
        "{% assign x = 'ab' %}{% for i in (1..40) %}{% assign x = x | append: x %}{% endfor %}",
        "{% assign x = 'ab' %}{% for i in (1..17) %}{% assign x = x | append: x %}{% endfor %}{{ x }}",
    ],
)
def test_loops_output_and_variables_are_bounded(text: str) -> None:
    assert "limit reached" in failure(text)[0]


def test_an_error_of_a_filter_does_not_quote_the_value() -> None:
    message, line, column = failure("{{ word | concat: word }}", word="secret")
    assert (message, line, column) == ("concat cannot take the value it is given", 1, 11)


@given(st.text(st.sampled_from("{}%| .a'\"\n()ifor12-[]:,=<>"), max_size=40))
def test_any_text_compiles_and_renders_or_fails_as_a_template_error(text: str) -> None:
    try:
        place = (1, len(compile_template(text).render({"a": "x"})))
    except TemplateError as error:
        place = (error.line, error.column)
    assert place[0] <= text.count("\n") + 1
