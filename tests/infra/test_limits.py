import asyncio
import time
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.clock import Deadline
from infra.errors import UpstreamTimeout
from infra.limits import Budget, RateLimit
from tests.fakes.clock import FakeClock

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


# --- RateLimit ---


@pytest.mark.parametrize("count", [1, 3, 7, 30, 49, 100, 1_000])
def test_whole_count_passes_at_once_and_no_more(count: int) -> None:
    limit = RateLimit(FakeClock(), count, timedelta(seconds=60))

    passed = [limit.take("a") for _ in range(count + 1)]

    assert passed[:-1] == [None] * count
    assert passed[-1] is not None


def test_one_use_comes_back_every_step() -> None:
    clock = FakeClock()
    limit = RateLimit(clock, 4, timedelta(seconds=8))
    for _ in range(4):
        limit.take("a")

    clock.advance(2)

    assert limit.take("a") is None
    assert limit.take("a") == timedelta(seconds=2)


def test_budget_is_full_again_after_the_whole_span_but_never_fuller() -> None:
    clock = FakeClock()
    limit = RateLimit(clock, 2, SECOND)
    limit.take("a")
    limit.take("a")

    clock.advance(3600)

    assert [limit.take("a") is None for _ in range(3)] == [True, True, False]


def test_keys_have_budgets_of_their_own() -> None:
    limit = RateLimit(FakeClock(), 1, SECOND)

    assert limit.take("a") is None
    assert limit.take("b") is None
    assert limit.take("a") is not None


def test_refused_uses_are_not_counted() -> None:
    clock = FakeClock()
    limit = RateLimit(clock, 1, SECOND)
    limit.take("a")
    for _ in range(100):
        limit.take("a")

    clock.advance(1)

    assert limit.take("a") is None


@pytest.mark.parametrize("count", [1, 3, 7, 90])
def test_wait_is_exactly_as_long_as_needed(count: int) -> None:
    clock = FakeClock()
    limit = RateLimit(clock, count, timedelta(seconds=60))
    for _ in range(count):
        limit.take("a")
    wait = limit.take("a")
    assert wait is not None

    clock.advance(wait - MICROSECOND)
    early = limit.take("a")
    clock.advance(MICROSECOND)
    due = limit.take("a")

    assert early == MICROSECOND
    assert due is None


def test_forgotten_keys_are_those_seen_longest_ago() -> None:
    limit = RateLimit(FakeClock(), 1, SECOND, size=2)
    for key in ("a", "b", "a", "c"):  # the second "a" is refused, and seen all the same
        limit.take(key)

    assert limit.take("a") is not None
    assert limit.take("c") is not None
    assert limit.take("b") is None


def test_memory_is_bounded_by_the_number_of_keys() -> None:
    limit = RateLimit(FakeClock(), 1, SECOND, size=100)

    for number in range(10_000):
        limit.take(str(number))

    assert len(limit._full_at) == 100


class Bucket:
    """The same promise told another way: a bucket of tokens that fills at a steady rate."""

    def __init__(self, count: int, step: Fraction) -> None:
        self.count, self.step = count, step
        self.tokens = Fraction(count)

    def pass_time(self, microseconds: int) -> None:
        self.tokens = min(Fraction(self.count), self.tokens + microseconds / self.step)

    def take(self) -> bool:
        allowed = self.tokens >= 1
        self.tokens -= allowed
        return allowed


@given(
    count=st.integers(1, 20),
    step=st.integers(1, 3_000_000),
    pauses=st.lists(st.just(0) | st.integers(0, 10_000_000), max_size=60),
)
def test_limit_behaves_as_a_bucket_of_tokens(count: int, step: int, pauses: list[int]) -> None:
    clock = FakeClock()
    limit = RateLimit(clock, count, count * step * MICROSECOND)
    bucket = Bucket(count, Fraction(step))

    for pause in pauses:
        clock.advance(pause * MICROSECOND)
        bucket.pass_time(pause)
        wait = limit.take("a")
        missing = (1 - bucket.tokens) * step
        assert (wait is None) == bucket.take()
        assert wait is None or wait == int(missing) * MICROSECOND


@given(
    count=st.integers(1, 20),
    window=st.integers(1, 60_000_000),
    pauses=st.lists(st.just(0) | st.integers(0, 5_000_000), max_size=60),
)
def test_no_span_of_one_window_holds_more_than_twice_the_count(
    count: int, window: int, pauses: list[int]
) -> None:
    clock = FakeClock()
    limit = RateLimit(clock, count, window * MICROSECOND)
    taken: list[int] = []

    now = 0
    for pause in pauses:
        clock.advance(pause * MICROSECOND)
        now += pause
        if limit.take("a") is None:
            taken.append(now)

    assert all(
        sum(start <= moment < start + window for moment in taken) <= 2 * count for start in taken
    )


# --- Budget ---


async def seconds_for(budget: Budget, times: int, calls: int, burst: int, key: str = "a") -> float:
    started = time.monotonic()
    for _ in range(times):
        await budget.wait(key, calls, SECOND, burst, Deadline.after(5))
    return time.monotonic() - started


async def test_burst_passes_at_once() -> None:
    assert await seconds_for(Budget(), times=5, calls=1, burst=5) < 0.1


async def test_calls_after_the_burst_are_spaced() -> None:
    taken = await seconds_for(Budget(), times=5, calls=20, burst=2)

    # Three calls past the burst, 1/20 s each.
    assert 0.14 <= taken < 0.5


async def test_callers_at_the_same_time_are_spaced_in_order() -> None:
    budget = Budget()
    passed: list[tuple[int, float]] = []

    async def call(number: int) -> None:
        await budget.wait("a", 20, SECOND, 1, Deadline.after(5))
        passed.append((number, time.monotonic()))

    await asyncio.gather(*(call(number) for number in range(5)))

    assert [number for number, _ in passed] == [0, 1, 2, 3, 4]
    began = passed[0][1]
    assert all(at - began >= number * 0.05 - 0.01 for number, at in passed)


async def test_keys_do_not_wait_for_each_other() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=1, burst=1)

    assert await seconds_for(budget, times=1, calls=1, burst=1, key="b") < 0.1


async def test_changed_rate_takes_effect() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=1, burst=1)

    assert await seconds_for(budget, times=3, calls=1, burst=3) < 0.1


async def test_turn_after_the_deadline_is_a_timeout() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=1, burst=1)
    started = time.monotonic()

    with pytest.raises(UpstreamTimeout):
        await budget.wait("a", 1, SECOND, 1, Deadline.after(0.05))

    assert time.monotonic() - started < 0.5


async def test_free_call_passes_even_at_the_deadline() -> None:
    await Budget().wait("a", 1, SECOND, 1, Deadline.after(0))


async def test_error_does_not_name_the_key() -> None:
    budget = Budget()
    await budget.wait("CANARY", 1, SECOND, 1, Deadline.after(1))

    with pytest.raises(UpstreamTimeout) as caught:
        await budget.wait("CANARY", 1, SECOND, 1, Deadline.after(0))

    assert "CANARY" not in str(caught.value)


async def test_whoever_gives_up_takes_no_capacity() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=10, burst=1)
    waiting = [
        asyncio.ensure_future(budget.wait("a", 10, SECOND, 1, Deadline.after(5))) for _ in range(50)
    ]
    await asyncio.sleep(0)

    for caller in waiting:
        caller.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    # 51 callers before this one would make it wait for more than five seconds.
    assert await seconds_for(budget, times=1, calls=10, burst=1) < 0.3


async def test_timed_out_callers_take_no_capacity() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=5, burst=1)
    await asyncio.gather(
        *(budget.wait("a", 5, SECOND, 1, Deadline.after(0.01)) for _ in range(50)),
        return_exceptions=True,
    )

    assert await seconds_for(budget, times=1, calls=5, burst=1) < 0.4


async def test_cancelled_caller_at_the_head_lets_the_next_one_pass() -> None:
    budget = Budget()
    await seconds_for(budget, times=1, calls=10, burst=1)
    head = asyncio.ensure_future(budget.wait("a", 10, SECOND, 1, Deadline.after(5)))
    following = asyncio.ensure_future(seconds_for(budget, times=1, calls=10, burst=1))
    await asyncio.sleep(0.01)

    head.cancel()

    assert await following < 0.3


async def test_buckets_are_bounded_by_the_number_of_keys() -> None:
    budget = Budget(size=10)

    for number in range(100):
        await budget.wait(str(number), 1, SECOND, 1, Deadline.after(1))

    assert len(budget._buckets) == 10
