"""Which variables a template cannot be rendered without, held against what rendering itself says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.templates import TemplateError, compile_template
from engine.core.variables import filled, plain_uses


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("{{ x }}", ["x"]),
        ("{{ x | upcase | default: 'y' }}", ["x"]),
        ("{{ x | default: y }}", ["y"]),
        ("{{ x | default: 'y' | upcase }}", []),
        ("{% if x %}{{ x }}{% else %}{{ y }}{% endif %}", ["y"]),
        ("{% if x and y %}{{ x }}{{ y }}{% endif %}", []),
        ("{% if x or y %}{{ x }}{{ y }}{% endif %}", ["x", "y"]),
        ("{% if x == 'a' %}{{ x }}{% elsif y %}{{ x }}{{ y }}{% endif %}", ["x"]),
        ("{% if x == nil %}none{% else %}{{ x }}{% endif %}", []),
        ("{% if x != nil %}{{ x }}{% endif %}", []),
        ("{% unless x %}{{ x }}{% else %}{{ x }}{% endunless %}", ["x"]),
        ("{% case x %}{% when 'a' %}{{ x }}{% else %}{{ x }}{% endcase %}", ["x"]),
        ("{% assign z = x %}{{ z }}", ["x"]),
        ("{% assign z = x | default: 'y' %}{{ z }}", []),
        ("{% for each in x %}{{ each }}{% endfor %}", ["x"]),
    ],
)
def test_a_use_is_needed_unless_a_default_or_a_condition_takes_care_of_it(text: str, needed: list[str]) -> None:
    assert [use.name for use in compile_template(text).needed] == needed


CONDITIONS = st.recursive(
    st.sampled_from(["x", "y", "x == 'a'", "x != nil", "y == nil", "y != 'a'"]),
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
    max_leaves=3,
)
PIECES = st.recursive(
    st.sampled_from(["{{ x }}", "{{ y }}", "{{ x | default: 'd' }}", "{{ y | upcase }}", "text"]),
    lambda inner: st.one_of(
        st.tuples(CONDITIONS, inner, inner).map(
            lambda it: f"{{% if {it[0]} %}}{it[1]}{{% else %}}{it[2]}{{% endif %}}"
        ),
        st.tuples(CONDITIONS, inner).map(lambda it: f"{{% unless {it[0]} %}}{it[1]}{{% endunless %}}"),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=6,
)


@given(PIECES, st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["a", "b"])))
@settings(deadline=None)
def test_with_all_that_is_needed_every_template_can_be_rendered(text: str, values: dict[str, str]) -> None:
    template = compile_template(text)
    needed = {use.name for use in template.needed}
    try:
        template.render(values)
    except TemplateError:
        assert not needed <= values.keys()


TEXTS = st.lists(
    st.sampled_from(["{{ x }}", "{{x}}", "{{ recipient.email }}", "{{- y -}}", "{{ x | upcase }}", "{{ nil }}", "Hi\n",
                     "{", "}", "{{", "}}", "{% if x %}", "{% endif %}", "{{ x.y }}", "{{ 'x' }}", "ü", "{#"])
).map("".join)  # fmt: skip


@given(TEXTS)
@settings(deadline=None)
def test_a_plain_text_is_read_without_the_template_library_as_with_it(text: str) -> None:
    if (uses := plain_uses(text)) is not None:
        template = compile_template(text)
        assert template.uses == template.needed == uses
        if "-" not in text:
            values = {use.name: "v" for use in uses}
            nested = {"x": "v", "y": "v", "recipient": {"email": "v"}}
            if "x.y" not in text:
                assert filled(text, values) == template.render(nested)
