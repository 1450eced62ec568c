"""What is remembered, for how long, and calls that are shared."""

import asyncio
from datetime import timedelta

import pytest

from infra.cache import SingleFlight, TtlCache
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make_cache(clock: FakeClock, *, size: int = 3) -> TtlCache[str, str]:
    return TtlCache(clock, ttl=timedelta(seconds=60), size=size)


def make_weighed_cache(clock: FakeClock) -> TtlCache[str, bytes]:
    return TtlCache(clock, ttl=timedelta(minutes=1), size=100, weigh=len, max_bytes=10)


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [
        pytest.param(0, "value", id="at-once"),
        pytest.param(59.9, "value", id="just-before-its-time"),
        pytest.param(60, None, id="at-its-time"),
        pytest.param(3600, None, id="long-after"),
    ],
)
def test_value_is_kept_for_its_time(clock: FakeClock, seconds: float, kept: str | None) -> None:
    cache = make_cache(clock)
    cache.put("key", "value")

    clock.advance(seconds)

    assert cache.get("key") == kept


def test_own_time_of_a_value_goes_before_that_of_the_cache(clock: FakeClock) -> None:
    cache = make_cache(clock)
    cache.put("refusal", "no", ttl=timedelta(seconds=3))

    clock.advance(3)

    assert cache.get("refusal") is None


def test_expired_value_leaves_no_entry(clock: FakeClock) -> None:
    cache = make_cache(clock)
    cache.put("key", "value")
    clock.advance(61)

    cache.get("key")

    assert len(cache) == 0


def test_value_used_longest_ago_goes_first(clock: FakeClock) -> None:
    cache = make_cache(clock, size=2)
    cache.put("a", "1")
    cache.put("b", "2")
    cache.get("a")

    cache.put("c", "3")

    assert [cache.get(key) for key in "abc"] == ["1", None, "3"]


def test_putting_again_renews_value_and_time(clock: FakeClock) -> None:
    cache = make_cache(clock)
    cache.put("key", "old")
    clock.advance(50)

    cache.put("key", "new")
    clock.advance(50)

    assert cache.get("key") == "new"


def test_popped_value_is_returned_once(clock: FakeClock) -> None:
    cache = make_cache(clock)
    cache.put("key", "value")

    popped = [cache.pop("key"), cache.pop("key")]

    assert popped == ["value", None]


def test_expired_value_is_not_popped(clock: FakeClock) -> None:
    cache = make_cache(clock)
    cache.put("key", "value")
    clock.advance(60)

    assert cache.pop("key") is None


def test_weight_of_all_values_stays_below_the_limit(clock: FakeClock) -> None:
    cache = make_weighed_cache(clock)
    cache.put("a", b"12345")
    cache.put("b", b"12345")

    cache.put("c", b"1")

    assert [cache.get(key) for key in "abc"] == [None, b"12345", b"1"]


def test_value_heavier_than_the_limit_is_not_kept_and_pushes_nothing_out(clock: FakeClock) -> None:
    cache = make_weighed_cache(clock)
    cache.put("a", b"12345")

    cache.put("b", b"x" * 11)

    assert (cache.get("a"), cache.get("b")) == (b"12345", None)


@pytest.mark.parametrize("forget", ["pop", "put", "expire", "clear"])
def test_forgotten_value_gives_its_weight_back(clock: FakeClock, forget: str) -> None:
    cache = make_weighed_cache(clock)
    cache.put("a", b"x" * 10)
    match forget:
        case "pop":
            cache.pop("a")
        case "put":
            cache.put("a", b"")
        case "expire":
            clock.advance(61)
            cache.get("a")
        case _:
            cache.clear()

    cache.put("b", b"x" * 10)

    assert cache.get("b") == b"x" * 10


class Upstream:
    """Answers each call when told to, and counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self.cancelled = 0
        self.release = asyncio.Event()
        self.error: Exception | None = None

    async def call(self) -> str:
        self.calls += 1
        number = self.calls
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"answer {number}"


async def ask(flights: SingleFlight[str, str], upstream: Upstream, *keys: str) -> list[
    asyncio.Task[str]
]:  # fmt: skip
    askers = [asyncio.ensure_future(flights.do(key, upstream.call)) for key in keys]
    await asyncio.sleep(0.001)
    return askers


async def test_askers_of_one_key_share_one_call() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    askers = await ask(flights, upstream, "a", "a", "a")

    upstream.release.set()
    answers = await asyncio.gather(*askers)

    assert answers == ["answer 1"] * 3
    assert upstream.calls == 1


async def test_askers_of_other_keys_have_calls_of_their_own() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    askers = await ask(flights, upstream, "a", "b")

    upstream.release.set()
    await asyncio.gather(*askers)

    assert upstream.calls == 2


async def test_answer_is_not_remembered() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    upstream.release.set()

    answers = [await flights.do("a", upstream.call) for _ in range(2)]

    assert answers == ["answer 1", "answer 2"]


async def test_error_goes_to_all_askers_and_is_not_remembered() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    askers = await ask(flights, upstream, "a", "a")
    upstream.error = LookupError("gone")
    upstream.release.set()

    outcomes = await asyncio.gather(*askers, return_exceptions=True)
    upstream.error = None
    answer = await flights.do("a", upstream.call)

    assert [type(outcome) for outcome in outcomes] == [LookupError, LookupError]
    assert answer == "answer 2"


async def test_cancelled_asker_does_not_cancel_the_call_of_others() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    first, second = await ask(flights, upstream, "a", "a")

    first.cancel()
    await asyncio.sleep(0.001)
    upstream.release.set()

    assert await second == "answer 1"
    assert first.cancelled()


async def test_call_that_nobody_waits_for_is_cancelled() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    askers = await ask(flights, upstream, "a", "a")

    for asker in askers:
        asker.cancel()
    await asyncio.sleep(0.001)

    assert upstream.cancelled == 1


async def test_asker_after_an_abandoned_call_gets_a_new_one() -> None:
    flights, upstream = SingleFlight[str, str](), Upstream()
    (abandoned,) = await ask(flights, upstream, "a")
    abandoned.cancel()
    await asyncio.sleep(0)
    upstream.release.set()

    answer = await flights.do("a", upstream.call)

    assert answer == "answer 2"


async def test_asker_who_comes_as_a_call_ends_gets_a_new_one() -> None:
    flights = SingleFlight[str, int]()
    latecomers: list[asyncio.Future[int]] = []
    calls = 0

    def come_late() -> None:
        latecomers.append(asyncio.ensure_future(flights.do("a", call)))

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            asyncio.get_running_loop().call_soon(come_late)
        return calls

    first = await flights.do("a", call)
    (latecomer,) = latecomers

    assert (first, await latecomer) == (1, 2)
