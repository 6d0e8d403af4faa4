"""Waits that grow, and a circuit breaker as the table of what it does in each state."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from engine.core.errors import RefusedError, RepositoryError
from engine.recovery import LONGEST, Circuit, CircuitBreaker, Policy, is_outage, retry_delay

POLICY = Policy(threshold=3, first_seconds=1.0, longest_seconds=60.0)
AWAY = RepositoryError("cannot reach the database", hint="Start it.", sqlstate="08000", retryable=True)


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


class Watch:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def breaker(watch: Watch, failures: int = 0, seed: int = 1) -> CircuitBreaker:
    """One that has met so many failures in a row."""
    made = CircuitBreaker("database", POLICY, clock=watch, random=Random(seed))
    for _ in range(failures):
        made.fail(AWAY)
    return made


@pytest.mark.parametrize(
    ("before", "then", "after"),
    [
        (Circuit("closed", 0, 5), "failed", Circuit("closed", 1, 5)),
        (Circuit("closed", 2, 5), "failed", Circuit("open", 3, 9)),
        (Circuit("closed", 2, 5), "succeeded", Circuit("closed", 0, 5)),
        (Circuit("open", 3, 5), "failed", Circuit("open", 3, 5)),
        (Circuit("open", 3, 5), "succeeded", Circuit("open", 3, 5)),
        (Circuit("open", 3, 5), "probed", Circuit("half_open", 3, 9)),
        (Circuit("half_open", 3, 5), "failed", Circuit("open", 4, 9)),
        (Circuit("half_open", 7, 5), "failed", Circuit("open", 8, 9)),
        (Circuit("half_open", 3, 5), "succeeded", Circuit("closed", 0, 9)),
    ],
)
def test_what_happens_in_each_state(before: Circuit, then: str, after: Circuit) -> None:
    assert getattr(POLICY, then)(before, 9) == after


def test_many_failures_at_once_open_it_but_count_as_one_opening() -> None:
    assert POLICY.failed(Circuit(), 9, failures=100) == Circuit("open", 3, 9)


@pytest.mark.parametrize(("failures", "seconds"), [(3, 1), (4, 2), (5, 4), (8, 32), (9, 60), (5_000, 60)])
def test_the_pause_doubles_with_each_failed_try_up_to_the_longest(failures: int, seconds: float) -> None:
    assert POLICY.pause(Circuit("open", failures, 0)) == seconds


def test_nothing_is_tried_while_it_is_open_and_exactly_one_probe_goes_after_the_pause() -> None:
    watch = Watch()
    it = breaker(watch, failures=3)
    assert (it.status, it.allows()) == ("open", False)
    assert 0.8 <= it.wait <= 1.2
    watch.seconds += it.wait
    assert [it.allows() for _ in range(3)] == [True, False, False]
    assert it.status == "half_open"
    assert it.wait > 0


def test_a_probe_that_fails_opens_it_for_longer_and_one_that_succeeds_closes_it() -> None:
    watch = Watch()
    it = breaker(watch, failures=3)
    watch.seconds += it.wait
    assert it.allows()
    it.fail(AWAY)
    assert it.status == "open"
    assert 1.6 <= it.wait <= 2.4
    watch.seconds += it.wait
    assert it.allows()
    it.succeed()
    assert (it.circuit, it.allows(), it.wait) == (Circuit("closed", 0, watch.seconds), True, 0.0)


def test_a_probe_without_an_outcome_leaves_its_turn_to_another() -> None:
    watch = Watch()
    it = breaker(watch, failures=3)
    watch.seconds += it.wait
    assert it.allows()
    it.give_up()
    assert [it.allows() for _ in range(2)] == [True, False]


def test_giving_up_means_nothing_while_it_is_closed() -> None:
    it = breaker(Watch(), failures=2)
    it.give_up()
    assert it.circuit.failures == 2


def test_a_success_between_failures_keeps_it_closed() -> None:
    it = breaker(Watch(), failures=2)
    it.succeed()
    it.fail(AWAY)
    it.fail(AWAY)
    assert it.status == "closed"


def test_processes_that_failed_together_probe_apart() -> None:
    waits = {breaker(Watch(), failures=3, seed=seed).wait for seed in range(50)}
    assert len(waits) == 50


def test_one_line_when_it_opens_one_when_it_closes_and_none_in_between() -> None:
    watch = Watch()
    with capture_logs() as logs:
        it = breaker(watch, failures=5)
        for _ in range(4):
            watch.seconds += it.wait
            assert it.allows()
            it.fail(AWAY)
        watch.seconds += it.wait
        assert it.allows()
        it.succeed()
        it.succeed()
    assert [(each["log_level"], each["event"]) for each in logs] == [
        ("error", "the database fails; nothing is tried until it works again"),
        ("info", "the database works again"),
    ]
    assert (logs[0]["error"], logs[0]["hint"]) == ("cannot reach the database", "Start it.")


def test_whoever_listens_hears_every_change_of_status_once() -> None:
    watch, heard = Watch(), list[str]()
    it = CircuitBreaker("database", POLICY, clock=watch, heard=lambda circuit: heard.append(circuit.status))
    for _ in range(4):
        it.fail(AWAY)
    watch.seconds += it.wait
    it.allows()
    it.succeed()
    assert heard == ["open", "half_open", "closed"]


@pytest.mark.parametrize(
    ("sqlstate", "retryable", "outage"),
    [
        ("08006", True, True),
        ("57P01", True, True),
        ("53100", False, True),
        ("53300", False, True),
        ("25006", False, True),
        ("40001", True, False),
        ("55P03", True, False),
        ("57014", True, False),
        ("25P03", True, False),
        ("42P01", False, False),
        ("22P02", False, False),
    ],
)
def test_an_outage_is_what_concerns_everybody(sqlstate: str, retryable: bool, outage: bool) -> None:
    assert is_outage(RepositoryError("", sqlstate=sqlstate, retryable=retryable)) is outage


def test_what_the_database_did_not_say_is_no_outage() -> None:
    assert not is_outage(RefusedError("no"))
    assert not is_outage(ZeroDivisionError())
