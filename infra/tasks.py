"""The only place that makes asyncio tasks: fan-out, background work, and its supervision."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from infra.clock import Clock, Deadline
from infra.errors import AppError, UpstreamTimeout
from infra.log import get_logger

log = get_logger()

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

# Cancelled jobs get this long to unwind; a job that clings to life is then left behind.
_UNWIND_SECONDS = 0.1
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 30.0


def spawn(coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task whose owner waits for it; an error that nobody fetches is not reported."""
    task = asyncio.create_task(coroutine, name=name)
    task.add_done_callback(_mark_fetched)
    return task


def _mark_fetched(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


@dataclass(frozen=True, slots=True)
class Collected(Generic[K, T]):
    """What became of each job of a fan-out; every name is in `results` or in `errors`.

    Attributes:
        results: of the jobs that returned in time.
        errors: of those that raised or were late (`UpstreamTimeout`); a bug stands here as a plain
            `AppError`, its traceback is in the log.
        late: jobs that had not ended at the deadline.
    """

    results: dict[K, T]
    errors: dict[K, AppError]
    late: frozenset[K]


async def collect(
    jobs: Mapping[K, Coroutine[Any, Any, T]],
    deadline: Deadline,
    *,
    keep: "Background | None" = None,
    on_late: Callable[[K, T], Coroutine[Any, Any, None]] | None = None,
) -> Collected[K, T]:
    """Run jobs side by side until the deadline; one of many may fail.

    Args:
        jobs: coroutines by name, not yet started.
        deadline: of the flow.
        keep: where late jobs go on; without it they are cancelled.
        on_late: gets the result of each late job that still ends well; wanted with `keep`.
    """
    running = {spawn(job, name=str(name)): name for name, job in jobs.items()}
    if not running:
        return Collected({}, {}, frozenset())
    try:
        done, late = await asyncio.wait(running, timeout=deadline.left)
    except asyncio.CancelledError:
        await _cancel(running)
        raise
    results: dict[K, T] = {}
    errors: dict[K, AppError] = {}
    for task in done:
        name = running[task]
        try:
            results[name] = task.result()
        except AppError as error:
            errors[name] = error
        except (Exception, asyncio.CancelledError) as bug:  # noqa: BLE001 one of many may fail
            errors[name] = _as_app_error(name, bug)
    for task in late:
        errors[running[task]] = UpstreamTimeout("no answer in time")
    if keep is None:
        await _cancel(late)
    else:
        for task in late:
            keep.hold(task, None if on_late is None else partial(on_late, running[task]))
    return Collected(results, errors, frozenset(running[task] for task in late))


def _as_app_error(name: object, bug: BaseException) -> AppError:
    log.error("job_broke", job=str(name), exc_info=bug)
    error = AppError("internal error")
    error.__cause__ = bug
    return error


async def _cancel(tasks: Mapping[asyncio.Task[T], K] | set[asyncio.Task[T]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_UNWIND_SECONDS)


def _unheard() -> None:
    return None


class Background:
    """Work that outlives the request that began it; leaving the context cancels and awaits it.

    `on_failure` hears of each piece that failed; the log says which and why.
    """

    def __init__(self, on_failure: Callable[[], None] = _unheard) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._on_failure = on_failure

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run work once; its errors are logged. After `close` nothing starts any more."""
        if self._is_closed:
            work.close()
        else:
            self.hold(spawn(work, name=name))

    def hold(
        self,
        task: asyncio.Task[T],
        then: Callable[[T], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """Take over a running task, and start what follows from its result."""
        if self._is_closed:
            task.cancel()
            return
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, then=then))

    def supervise(
        self,
        name: str,
        factory: Callable[[], Coroutine[Any, Any, None]],
        clock: Clock,
        *,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        """Run work that must go on for as long as this process (see `supervise`)."""
        work = supervise(
            name, factory, clock, longest_wait=longest_wait, on_failure=self._on_failure
        )
        self.start(name, work)

    async def close(self) -> None:
        """Cancel everything and wait until it has ended."""
        self._is_closed = True
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(
        self, task: asyncio.Task[T], then: Callable[[T], Coroutine[Any, Any, None]] | None
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            self._on_failure()
            _report(task.get_name(), error)
        elif then is not None:
            self.start(f"after {task.get_name()}", then(task.result()))


def _report(task: str, error: BaseException, **more: float) -> None:
    if isinstance(error, AppError):
        log.warning("background_failed", task=task, code=error.code, error=error.message, **more)
    else:
        log.error("background_broke", task=task, exc_info=error, **more)


async def supervise(
    name: str,
    factory: Callable[[], Coroutine[Any, Any, None]],
    clock: Clock,
    *,
    first_wait: float = _FIRST_WAIT,
    longest_wait: float = _LONGEST_WAIT,
    on_failure: Callable[[], None] = _unheard,
) -> None:
    """Run work for ever: when it fails or ends, wait and start it anew.

    The wait doubles from failure to failure, and starts small again after a run that lasted
    longer than the longest wait.
    """
    wait = first_wait
    while True:
        started = clock.monotonic()
        error: Exception | None = None
        try:
            await factory()
        except Exception as caught:  # noqa: BLE001 the work must go on
            error = caught
        if clock.monotonic() - started > longest_wait:
            wait = first_wait
        if error is None:
            log.warning("background_ended", task=name, restart_in=wait)
        else:
            on_failure()
            _report(name, error, restart_in=wait)
        await asyncio.sleep(wait)
        wait = min(wait * 2, longest_wait)
