"""What was acknowledged reaches the receiver, whatever dies on the way."""

import asyncio
import random
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from infra.errors import DatabaseUnavailable
from infra.spool import RowsRejected, Spool
from tests.fakes.clock import FakeClock
from tests.fakes.journal import Journal, recorded_logs

ROOT = Path(__file__).parents[2]
TICK = timedelta(milliseconds=5)


class Table:
    """A receiver that stores lines, refuses poison, and can be away."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.batches: list[int] = []
        self.poison: set[bytes] = set()
        self.names_poison = False
        self.is_away = False
        self.refused_calls = 0

    async def ship(self, lines: Sequence[bytes]) -> None:
        if self.is_away:
            self.refused_calls += 1
            raise DatabaseUnavailable("away")
        bad = frozenset(row for row, line in enumerate(lines) if line in self.poison)
        if bad and not self.names_poison:
            raise RowsRejected("bad row")
        self.batches.append(len(lines))
        self.rows += [line for row, line in enumerate(lines) if row not in bad]
        if bad:
            raise RowsRejected("bad row", bad)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def journal() -> Iterator[Journal]:
    with recorded_logs() as journal:
        yield journal


@asynccontextmanager
async def opened(
    directory: Path, table: Table, *, seal_every: timedelta = TICK, max_bytes: int = 10**9
) -> AsyncIterator[Spool]:
    async with Spool.open(
        directory,
        clock=FakeClock(),
        ship=table.ship,
        seal_every=seal_every,
        fsync_every=TICK,
        max_bytes=max_bytes,
        flush_at_end=timedelta(seconds=0.2),
    ) as spool:
        yield spool


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 what is waited for happens in files
            await asyncio.sleep(0.002)


def lines_in(directory: Path) -> list[bytes]:
    return [
        line
        for path in sorted(directory.rglob("*.lines"))
        for line in path.read_bytes().splitlines()
    ]


def sizes_in(directory: Path) -> list[int]:
    return sorted(path.stat().st_size for path in directory.rglob("*.lines"))


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*")]


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def leave_behind(directory: Path, *contents: bytes) -> None:
    """Put segments there as a process does that was killed."""
    owner = directory / "0123456789abcdef"
    owner.mkdir(parents=True)
    for number, content in enumerate(contents):
        (owner / f"{number:014d}-00000000.lines").write_bytes(content)


async def test_recorded_lines_are_shipped_in_order(tmp_path: Path, table: Table) -> None:
    lines = [f"line {number}".encode() for number in range(50)]

    async with opened(tmp_path, table) as spool:
        accepted = [spool.record(line) for line in lines]
        await until(lambda: len(table.rows) == 50)

    assert all(accepted)
    assert table.rows == lines


async def test_acknowledged_line_is_in_the_file_at_once(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        spool.record(b"one")

        assert lines_in(tmp_path) == [b"one"]


async def test_leaving_ships_what_is_left_and_leaves_nothing(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        spool.record(b"one")

    assert table.rows == [b"one"]
    assert names_in(tmp_path) == ["dead"]


async def test_idle_spool_makes_no_files(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table):
        await asyncio.sleep(0.03)

        assert sizes_in(tmp_path) == []


async def test_shipped_segment_is_removed(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table) as spool:
        spool.record(b"one")
        await until(lambda: spool.backlog.shipped == 1)

        assert sizes_in(tmp_path) == []


async def test_batches_hold_a_thousand_lines_at_most(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        for number in range(2_500):
            spool.record(str(number).encode())

    assert table.batches == [1000, 1000, 500]


async def test_segment_is_sealed_at_a_mebibyte(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        for _ in range(3 * 1024):
            spool.record(b"x" * 1023)
        sizes = sizes_in(tmp_path)

    assert sizes == [1024 * 1024] * 3


async def test_line_with_a_newline_is_a_bug(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table) as spool:
        with pytest.raises(ValueError, match="newline"):
            spool.record(b"two\nlines")


async def test_nothing_is_accepted_after_the_end(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table) as spool:
        pass

    assert not spool.record(b"late", important=True)
    assert names_in(tmp_path) == ["dead"]


async def test_lines_wait_while_the_receiver_is_away(tmp_path: Path, table: Table) -> None:
    table.is_away = True
    async with opened(tmp_path, table) as spool:
        spool.record(b"one")
        await until(lambda: table.refused_calls >= 2)
        spool.record(b"two")
        waiting = lines_in(tmp_path)

        table.is_away = False
        await until(lambda: len(table.rows) == 2)

    assert waiting == [b"one", b"two"]
    assert table.rows == [b"one", b"two"]


async def test_absence_is_told_once_and_so_is_its_end(
    tmp_path: Path, table: Table, journal: Journal
) -> None:
    table.is_away = True
    async with opened(tmp_path, table) as spool:
        spool.record(b"one")
        await until(lambda: table.refused_calls >= 3)
        table.is_away = False
        await until(lambda: len(table.rows) == 1)

    assert journal.events == ["spool_waiting", "spool_resumed"]


async def test_bug_of_the_receiver_loses_nothing(tmp_path: Path, journal: Journal) -> None:
    rows: list[bytes] = []
    has_failed = False

    async def ship(lines: Sequence[bytes]) -> None:
        nonlocal has_failed
        if not has_failed:
            has_failed = True
            raise KeyError("bug")
        rows.extend(lines)

    async with Spool.open(tmp_path, clock=FakeClock(), ship=ship, seal_every=TICK) as spool:
        spool.record(b"one")
        await until(lambda: has_failed)

    assert rows == [b"one"]
    assert "background_broke" in journal.events


async def test_what_is_left_at_the_end_is_shipped_by_the_next(tmp_path: Path, table: Table) -> None:
    table.is_away = True
    async with opened(tmp_path, table) as spool:
        spool.record(b"one")
    table.is_away = False

    async with opened(tmp_path, table):
        await until(lambda: table.rows == [b"one"])

    assert names_in(tmp_path) == ["dead"]


async def test_line_without_newline_was_never_acknowledged_and_is_dropped(
    tmp_path: Path, table: Table
) -> None:
    leave_behind(tmp_path, b'{"id":1}\n{"id":2}\n{"id":', b'{"id":4}\n{"id":5}')

    async with opened(tmp_path, table):
        await until(lambda: not sizes_in(tmp_path))

    assert table.rows == [b'{"id":1}', b'{"id":2}', b'{"id":4}']


async def test_older_segments_go_first_whoever_wrote_them(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        spool.record(b"new")
        leave_behind(tmp_path, b"old\n", b"less old\n")
        spool._adopt()

    assert table.rows == [b"old", b"less old", b"new"]


async def test_directory_of_a_living_process_is_not_adopted(tmp_path: Path, table: Table) -> None:
    other = Table()
    async with (
        opened(tmp_path, other, seal_every=timedelta(hours=1)) as living,
        opened(tmp_path, table) as spool,
    ):
        living.record(b"of the living")
        spool.record(b"own")
        await until(lambda: spool.backlog.shipped == 1)
        await asyncio.sleep(0.03)

        assert table.rows == [b"own"]
    assert other.rows == [b"of the living"]


async def test_empty_directory_of_a_dead_process_is_removed(tmp_path: Path, table: Table) -> None:
    leave_behind(tmp_path)

    async with opened(tmp_path, table):
        await until(lambda: len(names_in(tmp_path)) == 2)

    assert table.rows == []


@pytest.mark.parametrize("names_poison", [False, True], ids=["by-halving", "named-by-receiver"])
@pytest.mark.parametrize(
    "poison",
    [
        pytest.param({b"0"}, id="first"),
        pytest.param({b"999"}, id="last"),
        pytest.param({b"3", b"4", b"500"}, id="several"),
    ],
)
async def test_refused_line_is_put_aside_and_the_others_are_stored(
    tmp_path: Path, table: Table, journal: Journal, poison: set[bytes], names_poison: bool
) -> None:
    table.poison = poison
    table.names_poison = names_poison
    lines = [str(number).encode() for number in range(1000)]

    async with opened(tmp_path, table) as spool:
        for line in lines:
            spool.record(line)
        await until(lambda: spool.backlog.shipped == 1000 - len(poison))
        backlog = spool.backlog

    assert table.rows == [line for line in lines if line not in poison]
    assert set(lines_in(tmp_path / "dead")) == poison
    assert backlog.dead == len(poison)
    assert "spool_line_refused" in journal.events


async def test_receiver_that_goes_away_while_poison_is_sought_loses_nothing(
    tmp_path: Path, table: Table
) -> None:
    table.poison = {b"7"}
    calls = 0

    async def ship(lines: Sequence[bytes]) -> None:
        nonlocal calls
        calls += 1
        if calls % 2 == 0:
            raise DatabaseUnavailable("away")
        await table.ship(lines)

    async with Spool.open(tmp_path, clock=FakeClock(), ship=ship, seal_every=TICK) as spool:
        for number in range(20):
            spool.record(str(number).encode())
        await until(lambda: spool.backlog.shipped == 19)

    assert sorted(table.rows, key=int) == [str(n).encode() for n in range(20) if n != 7]


async def test_full_spool_takes_important_lines_only(
    tmp_path: Path, table: Table, journal: Journal
) -> None:
    table.is_away = True
    async with opened(tmp_path, table, max_bytes=1_000) as spool:
        for _ in range(10):
            spool.record(b"x" * 99)

        lesser = spool.record(b"list")
        important = spool.record(b"play", important=True)
        backlog = spool.backlog
        await until(lambda: "spool_shed" in journal.events)

    assert (lesser, important) == (False, True)
    assert (backlog.held_bytes, backlog.shed) == (1_005, 1)


async def test_spool_with_room_again_takes_all_lines(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, max_bytes=1_000) as spool:
        while spool.record(b"x" * 99):
            pass
        await until(lambda: spool.backlog.held_bytes == 0)

        assert spool.record(b"list")


async def test_backlog_tells_how_much_waits_and_since_when(tmp_path: Path, table: Table) -> None:
    clock = FakeClock()
    begun = clock.now()
    async with Spool.open(
        tmp_path, clock=clock, ship=table.ship, seal_every=timedelta(hours=1)
    ) as spool:
        empty = spool.backlog
        spool.record(b"one")
        clock.advance(60)
        spool.record(b"two")
        waiting = spool.backlog

    assert (empty.held_bytes, empty.segments, empty.oldest_at) == (0, 0, None)
    assert (waiting.held_bytes, waiting.segments, waiting.oldest_at) == (8, 1, begun)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size: writes come back short, and then fail."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_short_write_is_cut_back_and_goes_on_in_a_new_segment(
    tmp_path: Path, table: Table
) -> None:
    lines = [f"{number:099d}".encode() for number in range(25)]
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        with largest_file(1_050):
            accepted = [spool.record(line) for line in lines]
        sizes = sizes_in(tmp_path)

    assert all(accepted)
    assert sizes == [500, 1_000, 1_000]
    assert table.rows == lines


async def test_disk_without_room_refuses_and_harms_nothing(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path, table, seal_every=timedelta(hours=1)) as spool:
        spool.record(b"before")
        with largest_file(0):
            refused = [spool.record(b"x" * 99, important=True) for _ in range(3)]
        accepted = spool.record(b"after")
        backlog = spool.backlog

    assert refused == [False] * 3
    assert accepted
    assert backlog.shed == 3
    assert table.rows == [b"before", b"after"]
    assert names_in(tmp_path) == ["dead"]


async def test_descriptors_are_given_back(tmp_path: Path, table: Table) -> None:
    async with opened(tmp_path / "warm-up", table):
        pass
    before = open_descriptors()

    async with opened(tmp_path, table) as spool:
        for _ in range(20):
            spool.record(b"one")
            await asyncio.sleep(0.006)

    assert open_descriptors() == before


def run_child(directory: Path, name: str, tables: Path) -> subprocess.Popen[bytes]:
    table = str(tables / f"{name}.table")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.infra.spool_child", str(directory), name, table],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def tables_in(directory: Path) -> list[Path]:
    return list(directory.glob("*.table"))


def kill_after(child: subprocess.Popen[bytes], lines: int, number: signal.Signals) -> list[bytes]:
    """Let a child acknowledge so many lines, kill it, and return the ids that it printed."""
    assert child.stdout is not None
    printed = [child.stdout.readline().strip() for _ in range(lines)]
    child.send_signal(number)
    with child:
        rest = child.stdout.read()
    # The last one may have been cut off while it was printed.
    return printed + rest.split(b"\n")[:-1]


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(2, id="2-rounds"), pytest.param(10, id="10-rounds", marks=pytest.mark.deep)],
)
async def test_nothing_acknowledged_is_lost_when_processes_are_killed(
    tmp_path: Path, table: Table, rounds: int
) -> None:
    directory = tmp_path / "spool"
    chance = random.Random(7)
    acknowledged: list[bytes] = []

    for turn in range(rounds):
        # Two at a time: each has its own directory, and either may adopt what the last left.
        pair = [run_child(directory, f"{turn}{side}", tmp_path) for side in "ab"]
        for child in pair:
            acknowledged += kill_after(child, chance.randrange(50, 1_500), signal.SIGKILL)
    async with opened(directory, table):
        await until(lambda: not sizes_in(directory))

    stored = [line for path in tables_in(tmp_path) for line in path.read_bytes().split(b"\n")[:-1]]
    rows = [row.split()[0] for row in stored + table.rows]
    assert len(acknowledged) > 100 * rounds
    assert set(acknowledged) - set(rows) == set()
    # A killed process may have recorded one line more than it could tell, each time.
    assert len(set(rows) - set(acknowledged)) <= 4 * rounds
