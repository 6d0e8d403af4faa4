from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.sms import outside_gsm, segment_count


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3), ("ж" * 70, 1), ("ж" * 71, 2), ("ж" * 134, 2), ("ж" * 135, 3),
        ("😀" * 35, 1), ("😀" * 36, 2), ("😀" * 66, 2), ("😀" * 67, 3), ("’" + "a" * 70, 2),
    ],
)  # fmt: skip
def test_a_text_takes_as_many_sms_as_its_alphabet_and_length_make_it(text: str, segments: int) -> None:
    assert segment_count(text) == segments


@given(st.text(max_size=400))
def test_segments_hold_the_whole_text_and_no_more_than_needed(text: str) -> None:
    units = len(text.encode("utf-16-le")) // 2
    count = segment_count(text)
    least = 67 if outside_gsm(text) else 153
    assert units <= max(count * least, 160)
    assert (count - 1) * (least - 1) <= 2 * units
