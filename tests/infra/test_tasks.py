"""Fan-out where one of many may fail, and work in the background."""

import asyncio
from collections.abc import Coroutine, Iterator

import pytest

from infra import tasks
from infra.clock import Deadline
from infra.errors import AppError, DatabaseUnavailable, UpstreamTimeout
from infra.tasks import Background, collect
from tests.fakes.clock import FakeClock
from tests.fakes.journal import Journal, recorded_logs


@pytest.fixture
def journal() -> Iterator[Journal]:
    with recorded_logs() as journal:
        yield journal


async def answer(value: str) -> str:
    return value


async def fail(error: Exception) -> str:
    raise error


class Slow:
    """A job that ends when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.was_cancelled = False

    async def run(self) -> str:
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return "slow answer"


async def test_no_jobs_give_nothing() -> None:
    jobs: dict[str, Coroutine[None, None, str]] = {}

    collected = await collect(jobs, Deadline.after(1))

    assert (collected.results, collected.errors, collected.late) == ({}, {}, frozenset())


async def test_one_failing_job_does_not_empty_the_rest(journal: Journal) -> None:
    error = UpstreamTimeout("too slow")

    collected = await collect({"a": answer("x"), "b": fail(error)}, Deadline.after(1))

    assert collected.results == {"a": "x"}
    assert collected.errors == {"b": error}
    assert journal.events == []


async def test_bug_in_a_job_is_logged_and_counted_as_an_error(journal: Journal) -> None:
    collected = await collect({"a": answer("x"), "b": fail(KeyError("oops"))}, Deadline.after(1))

    assert collected.results == {"a": "x"}
    assert type(collected.errors["b"]) is AppError
    (entry,) = journal.entries
    assert (entry["event"], entry["job"]) == ("job_broke", "b")
    assert "KeyError: 'oops'" in entry["exception"]


async def test_job_that_cancels_itself_counts_as_an_error(journal: Journal) -> None:
    async def give_up() -> str:
        raise asyncio.CancelledError

    collected = await collect({"a": give_up()}, Deadline.after(1))

    assert list(collected.errors) == ["a"]
    assert journal.events == ["job_broke"]


async def test_jobs_run_side_by_side() -> None:
    meeting = asyncio.Barrier(2)

    async def meet() -> str:
        await meeting.wait()
        return "met"

    collected = await collect({"a": meet(), "b": meet()}, Deadline.after(1))

    assert collected.results == {"a": "met", "b": "met"}


async def test_late_job_is_cancelled_at_the_deadline() -> None:
    slow = Slow()

    collected = await collect({"a": answer("x"), "b": slow.run()}, Deadline.after(0.02))

    assert collected.results == {"a": "x"}
    assert collected.late == {"b"}
    assert slow.was_cancelled


async def test_job_that_clings_to_life_does_not_hold_up_the_flow() -> None:
    release = asyncio.Event()

    async def cling() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    async with asyncio.timeout(1):
        collected = await collect({"a": cling()}, Deadline.after(0.01))
    release.set()

    assert collected.late == {"a"}


async def test_result_of_a_late_job_that_was_kept_is_handed_on() -> None:
    slow = Slow()
    handed: list[tuple[str, str]] = []

    async def store(name: str, result: str) -> None:
        handed.append((name, result))

    async with Background() as background:
        collected = await collect(
            {"b": slow.run()}, Deadline.after(0.01), keep=background, on_late=store
        )
        slow.release.set()
        await asyncio.sleep(0.01)

    assert collected.late == {"b"}
    assert handed == [("b", "slow answer")]


async def test_late_job_ends_with_the_background_that_keeps_it() -> None:
    slow = Slow()

    async with Background() as background:
        await collect({"b": slow.run()}, Deadline.after(0.01), keep=background)

    assert slow.was_cancelled


async def test_late_job_is_cancelled_when_the_background_has_ended() -> None:
    slow = Slow()
    background = Background()
    await background.close()

    await collect({"b": slow.run()}, Deadline.after(0.01), keep=background)
    await asyncio.sleep(0.001)

    assert slow.was_cancelled


async def test_cancelled_flow_takes_its_jobs_along() -> None:
    slow = Slow()
    flow = asyncio.ensure_future(collect({"a": slow.run()}, Deadline.after(5)))
    await asyncio.sleep(0.001)

    flow.cancel()

    with pytest.raises(asyncio.CancelledError):
        await flow
    assert slow.was_cancelled


@pytest.mark.parametrize(
    ("error", "event"),
    [
        pytest.param(DatabaseUnavailable("away"), "background_failed", id="expected"),
        pytest.param(KeyError("bug"), "background_broke", id="bug"),
    ],
)
async def test_error_in_the_background_is_logged(
    journal: Journal, error: Exception, event: str
) -> None:
    async def work() -> None:
        raise error

    failures: list[str] = []
    async with Background(lambda: failures.append("one")) as background:
        background.start("cleaning", work())
        await asyncio.sleep(0.001)

    (entry,) = journal.entries
    assert (entry["event"], entry["task"]) == (event, "cleaning")
    assert failures == ["one"]


async def test_closing_waits_until_work_has_unwound() -> None:
    unwound = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            unwound.set()

    async with Background() as background:
        background.start("work", work())
        await asyncio.sleep(0)

    assert unwound.is_set()


async def test_nothing_starts_after_closing() -> None:
    started: list[str] = []

    async def work() -> None:
        started.append("work")

    background = Background()
    await background.close()
    background.start("work", work())
    await asyncio.sleep(0.001)

    assert started == []


class Restarts:
    """Work that fails each time, and the moments between its runs."""

    def __init__(self, clock: FakeClock, error: Exception | None) -> None:
        self.clock = clock
        self.error = error
        self.runs = 0
        self.lasting: dict[int, float] = {}
        self.wanted = 0
        self.done = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        if self.runs == self.wanted:
            self.done.set()
        self.clock.advance(self.lasting.get(self.runs, 0))
        if self.error is not None:
            raise self.error


async def supervise_until(restarts: Restarts, runs: int) -> None:
    restarts.wanted = runs
    supervised = tasks.spawn(
        tasks.supervise("work", restarts.run, restarts.clock, first_wait=0.001, longest_wait=0.004),
        name="supervised",
    )
    async with asyncio.timeout(2):
        await restarts.done.wait()
    supervised.cancel()


@pytest.mark.parametrize(
    ("error", "event"),
    [
        pytest.param(DatabaseUnavailable("away"), "background_failed", id="expected"),
        pytest.param(KeyError("bug"), "background_broke", id="bug"),
        pytest.param(None, "background_ended", id="end"),
    ],
)
async def test_supervised_work_goes_on_after(
    journal: Journal, error: Exception | None, event: str
) -> None:
    restarts = Restarts(FakeClock(), error)

    await supervise_until(restarts, 3)

    assert set(journal.events) == {event}


async def test_wait_before_a_restart_doubles_up_to_its_limit(journal: Journal) -> None:
    restarts = Restarts(FakeClock(), KeyError("bug"))

    await supervise_until(restarts, 5)

    waits = [entry["restart_in"] for entry in journal.entries]
    assert waits[:5] == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_wait_is_short_again_after_a_long_run(journal: Journal) -> None:
    restarts = Restarts(FakeClock(), KeyError("bug"))
    restarts.lasting[3] = 1

    await supervise_until(restarts, 4)

    waits = [entry["restart_in"] for entry in journal.entries]
    assert waits[:4] == [0.001, 0.002, 0.001, 0.002]
