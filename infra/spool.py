"""A queue on disk for events that must not be lost: written at once, shipped in batches later.

`record` makes one write to the kernel, so what it acknowledged survives the death of the process;
a flusher ships sealed segments, oldest first, and unlinks each when all of it has been taken. An
event may be shipped twice (a process can die between the two), so the receiver must know events
again by an id of theirs. A line without its newline was never acknowledged and is dropped.
"""

import asyncio
import bisect
import fcntl
import itertools
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from infra.clock import Clock
from infra.errors import AppError
from infra.log import get_logger
from infra.tasks import Background

log = get_logger()

_SEGMENT_BYTES = 1024 * 1024
_BATCH_LINES = 1_000
_MAX_BYTES = 1024 * 1024 * 1024
_SHARE_OF_FREE_DISK = 10
_LONGEST_WAIT = 3.0
_DEAD = "dead"
_SUFFIX = ".lines"

# macOS has no fdatasync.
_sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

Ship = Callable[[Sequence[bytes]], Awaitable[None]]


class RowsRejected(Exception):
    """The receiver will never take some lines of a batch.

    Attributes:
        rows: indexes of the refused lines, all others being stored; empty when one bad line made
            it refuse the whole batch, so that nothing is stored.
    """

    def __init__(self, reason: str, rows: frozenset[int] = frozenset()) -> None:
        super().__init__(reason)
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the spool, and what has become of the rest since the start.

    Attributes:
        held_bytes: recorded or adopted, and not yet shipped.
        segments: files that hold them.
        oldest_at: when the oldest of these was begun; None when nothing waits.
        shipped: lines that the receiver took.
        shed: lines that were not accepted for want of room.
        dead: lines that the receiver refused; they lie in `dead/`.
    """

    held_bytes: int
    segments: int
    oldest_at: datetime | None
    shipped: int
    shed: int
    dead: int


@dataclass(frozen=True, slots=True, order=True)
class _Segment:
    """A sealed file. The name starts with the time of its making, so names sort by age."""

    name: str
    begun_at: datetime = field(compare=False)
    path: Path = field(compare=False)
    size: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Claim:
    """A directory of one process, and the lock that says that this process is its owner."""

    path: Path
    fd: int

    @classmethod
    def make(cls, parent: Path) -> "_Claim":
        """Make and lock a new one; another process may adopt it first, then take the next."""
        while True:
            path = parent / secrets.token_hex(8)
            path.mkdir(mode=0o700)
            claim = cls.take(path)
            if claim is not None:
                return claim

    @classmethod
    def take(cls, path: Path) -> "_Claim | None":
        """Lock a directory; None when its owner lives, or when it is no longer there."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its former owner may have emptied and removed it between the two calls.
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return cls(path, fd)
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        return None

    def leave(self) -> None:
        """Remove the directory if nothing is left in it, and let go of the lock."""
        with suppress(OSError):
            self.path.rmdir()
        os.close(self.fd)


class Spool:
    """The queue of this process; call it from the event loop's thread only."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        ship: Ship,
        *,
        seal_every: timedelta,
        fsync_every: timedelta,
        max_bytes: int,
    ) -> None:
        self._parent = directory
        self._clock = clock
        self._ship_lines = ship
        self._seal_seconds = seal_every.total_seconds()
        self._fsync_seconds = fsync_every.total_seconds()
        self._max_bytes = max_bytes
        self._cap = max_bytes
        self._claim = _Claim.make(directory)
        self._adopted: list[_Claim] = []
        self._sealed: list[_Segment] = []
        self._numbers = itertools.count()
        self._is_closed = False
        self._fd = -1  # of the open segment; none is open while nothing has been recorded
        self._path = self._claim.path
        self._begun_at = clock.now()
        self._size = 0
        self._held = 0
        self._unsynced: list[int] = []  # descriptors of sealed segments, closed once synced
        self._is_synced = True
        self._shipped = self._shed = self._shed_told = self._dead = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        directory: Path,
        *,
        clock: Clock,
        ship: Ship,
        fsync_every: timedelta = timedelta(seconds=1),
        seal_every: timedelta = timedelta(seconds=1),
        max_bytes: int = _MAX_BYTES,
        flush_at_end: timedelta = timedelta(seconds=10),
    ) -> AsyncIterator["Spool"]:
        """Open the spool of this process beside those of others, and ship in the background.

        Args:
            directory: shared by all processes of one kind; on a local disk, since locks matter.
            clock: names segments by age.
            ship: stores a batch of at most 1,000 lines. It raises `RowsRejected` for lines that
                can never be stored, and another `AppError` while its receiver is away.
            fsync_every: how much time a power failure may cost.
            seal_every: how long a line waits at most before it is shipped.
            max_bytes: past it, or past a tenth of the free disk, only important lines are taken.
            flush_at_end: how long leaving the context may take; what is left is shipped by the
                next process.
        """
        (directory / _DEAD).mkdir(mode=0o700, parents=True, exist_ok=True)
        spool = cls(
            directory,
            clock,
            ship,
            seal_every=seal_every,
            fsync_every=fsync_every,
            max_bytes=max_bytes,
        )
        try:
            async with Background() as background:
                background.supervise("spool flush", spool._flush, clock)
                background.supervise("spool sync", spool._sync, clock)
                yield spool
        finally:
            await spool._close(flush_at_end.total_seconds())

    def record(self, line: bytes, *, important: bool = False) -> bool:
        """Append a line; True when it is acknowledged, so that only the disk can lose it.

        Args:
            line: without newline; it should carry an id of its own.
            important: taken even when the spool is full, for as long as the disk has room.
        """
        if b"\n" in line:
            raise ValueError("a line of the spool holds a newline")
        if self._held >= self._cap and not important:
            self._shed += 1
            return False
        data = line + b"\n"
        try:
            if self._fd < 0:
                self._begin_segment()
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        if written != len(data):
            return self._record_elsewhere(data, written)
        self._size += written
        self._held += written
        self._is_synced = False
        if self._size >= _SEGMENT_BYTES:
            self._seal()
        return True

    @property
    def backlog(self) -> Backlog:
        """How much waits, and since when."""
        oldest = self._sealed[0].begun_at if self._sealed else None
        if oldest is None and self._size:
            oldest = self._begun_at
        return Backlog(
            held_bytes=self._held,
            segments=len(self._sealed) + (self._size > 0),
            oldest_at=oldest,
            shipped=self._shipped,
            shed=self._shed,
            dead=self._dead,
        )

    def _begin_segment(self) -> None:
        if self._is_closed:
            raise OSError("the spool is closed")
        self._begun_at = self._clock.now()
        age = int(self._begun_at.timestamp() * 1000)
        self._path = self._claim.path / f"{age:014d}-{next(self._numbers):08d}{_SUFFIX}"
        self._fd = os.open(
            self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
        )
        self._size = 0

    def _record_elsewhere(self, data: bytes, written: int) -> bool:
        """After a failed or short write: cut the segment back, and try once more in a new one.

        A limit on the size of files ends one segment only; a full disk refuses the next one too.
        """
        if written:
            with suppress(OSError):  # else the torn tail stays, and is dropped when it is read
                os.ftruncate(self._fd, self._size)
        self._seal()
        self._discard_empty()
        try:
            self._begin_segment()
            written = os.write(self._fd, data)
        except OSError:
            written = 0
        if written != len(data):
            self._discard_empty()
            self._shed += 1
            return False
        self._size = written
        self._held += written
        self._is_synced = False
        return True

    def _discard_empty(self) -> None:
        """Remove the open segment, of which nothing has been acknowledged."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def _seal(self) -> None:
        """Close the open segment to new lines; an empty one stays open."""
        if self._size == 0:
            return
        segment = _Segment(self._path.name, self._begun_at, self._path, self._size)
        bisect.insort(self._sealed, segment)
        self._unsynced.append(self._fd)
        self._fd = -1
        self._size = 0

    def _adopt(self) -> None:
        """Take over what dead processes left behind."""
        own = {claim.path for claim in (self._claim, *self._adopted)}
        for path in self._parent.iterdir():
            if path.name == _DEAD or path in own or not path.is_dir():
                continue
            claim = _Claim.take(path)
            if claim is not None:
                self._take_segments(claim)

    def _take_segments(self, claim: _Claim) -> None:
        segments = [
            _Segment(path.name, self._clock.now(), path, path.stat().st_size)
            for path in claim.path.glob(f"*{_SUFFIX}")
        ]
        if not segments:
            claim.leave()
            return
        self._adopted.append(claim)
        for segment in segments:
            bisect.insort(self._sealed, segment)
            self._held += segment.size
        log.info("spool_adopted", segments=len(segments))

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self._seal_seconds)
            self._seal()
            self._adopt()
            await self._ship_sealed()

    async def _ship_sealed(self) -> None:
        while self._sealed:
            segment = self._sealed[0]
            lines = await asyncio.to_thread(_read_lines, segment.path)
            for start in range(0, len(lines), _BATCH_LINES):
                await self._ship(lines[start : start + _BATCH_LINES])
            segment.path.unlink(missing_ok=True)
            self._sealed.remove(segment)
            self._held -= segment.size
            self._leave_emptied()

    def _leave_emptied(self) -> None:
        waiting = {segment.path.parent for segment in self._sealed}
        for claim in [claim for claim in self._adopted if claim.path not in waiting]:
            self._adopted.remove(claim)
            claim.leave()

    async def _ship(self, lines: Sequence[bytes]) -> None:
        """Ship a batch; a line that the receiver refuses is found by halving and put aside."""
        try:
            await self._ship_patiently(lines)
            self._shipped += len(lines)
        except RowsRejected as refusal:
            if refusal.rows or len(lines) == 1:
                rows = refusal.rows or {0}
                self._bury([lines[row] for row in sorted(rows)], refusal)
                self._shipped += len(lines) - len(rows)
                return
            half = len(lines) // 2
            await self._ship(lines[:half])
            await self._ship(lines[half:])

    async def _ship_patiently(self, lines: Sequence[bytes]) -> None:
        """Ship a batch, however long the receiver is away."""
        wait = min(self._seal_seconds, _LONGEST_WAIT)
        is_away = False
        while True:
            try:
                await self._ship_lines(lines)
            except AppError as error:
                if not is_away:
                    log.warning("spool_waiting", code=error.code, held_bytes=self._held)
                is_away = True
                await asyncio.sleep(wait)
                self._seal()  # so that a long absence leaves segments of usual size
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                if is_away:
                    log.info("spool_resumed", held_bytes=self._held)
                return

    def _bury(self, lines: Sequence[bytes], refusal: RowsRejected) -> None:
        """Keep refused lines for a person to look at."""
        with (self._parent / _DEAD / f"{self._claim.path.name}{_SUFFIX}").open("ab") as grave:
            grave.write(b"".join(line + b"\n" for line in lines))
        self._dead += len(lines)
        log.warning("spool_line_refused", lines=len(lines), reason=str(refusal))

    async def _sync(self) -> None:
        while True:
            self._cap = min(
                self._max_bytes, shutil.disk_usage(self._parent).free // _SHARE_OF_FREE_DISK
            )
            if self._shed > self._shed_told:
                lines = self._shed - self._shed_told
                log.warning("spool_shed", lines=lines, held_bytes=self._held)
                self._shed_told = self._shed
            await asyncio.sleep(self._fsync_seconds)
            await self._sync_once()

    async def _sync_once(self) -> None:
        if self._is_synced and not self._unsynced:
            return
        self._is_synced = True
        sealed, self._unsynced = self._unsynced, []
        opened = [self._fd] if self._fd >= 0 else []
        await asyncio.to_thread(_sync_all, sealed, [*opened, self._claim.fd])

    async def _close(self, seconds: float) -> None:
        self._seal()
        self._discard_empty()
        self._is_closed = True
        try:
            await self._sync_once()
            async with asyncio.timeout(seconds):
                await self._ship_sealed()
        except TimeoutError:
            log.warning("spool_left", held_bytes=self._held)
        finally:
            for claim in (self._claim, *self._adopted):
                claim.leave()


def _read_lines(path: Path) -> list[bytes]:
    """Read the lines that were acknowledged: those with their newline."""
    return path.read_bytes().split(b"\n")[:-1]


def _sync_all(sealed: Sequence[int], others: Sequence[int]) -> None:
    """Write to the disk what the kernel holds; sealed segments are closed after that."""
    try:
        for fd in (*sealed, *others):
            _sync_data(fd)
    finally:
        for fd in sealed:
            os.close(fd)
