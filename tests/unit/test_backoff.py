from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backoff import LONGEST, retry_delay


@given(st.integers(1, 6), st.integers())
def test_each_failure_doubles_the_wait_give_or_take_a_fifth(failures: int, seed: int) -> None:
    nominal = 300 * 2 ** (failures - 1)
    delay = retry_delay(failures, 300, Random(seed)).total_seconds()
    assert nominal * 0.8 <= delay <= nominal * 1.2


@given(st.integers(1, 32_767), st.floats(0.001, 86_400), st.integers())
def test_no_wait_is_longer_than_a_day_or_shorter_than_nothing(failures: int, first: float, seed: int) -> None:
    assert timedelta() <= retry_delay(failures, first, Random(seed)) <= LONGEST == timedelta(days=1)


def test_messages_that_failed_together_come_back_apart() -> None:
    source = Random(1)
    assert len({retry_delay(1, 300, source) for _ in range(100)}) == 100


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_source_gives_the_same_wait(seed: int) -> None:
    assert retry_delay(2, 300, Random(seed)) == retry_delay(2, 300, Random(seed))
