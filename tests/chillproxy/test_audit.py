"""The chain of audit rows: what was changed or cut out shows."""

import asyncio
from datetime import timedelta

import pytest

from chillproxy.audit import CHANNEL, Audit
from infra.db import Database
from infra.keyring import KeyRing
from tests.fakes.clock import FakeClock

DETAIL: dict[str, str | int | bool | None] = {
    "label": "Ünï",
    "count": 2**53 + 1,
    "is_on": True,
    "nothing": None,
}


@pytest.fixture
def audit(ring: KeyRing, clock: FakeClock) -> Audit:
    return Audit(ring, clock)


async def write(audit: Audit, database: Database, *, action: str = "key.add") -> None:
    async with database.transaction() as connection:
        await audit.write(connection, "ada", action, "key:1", DETAIL)


async def write_three(audit: Audit, database: Database, clock: FakeClock) -> None:
    for number in range(3):
        await write(audit, database, action=f"key.{number}")
        clock.advance(timedelta(seconds=1))


async def test_untouched_chain_is_whole(audit: Audit, database: Database, clock: FakeClock) -> None:
    await write_three(audit, database, clock)

    assert await audit.verify(database) is None
    assert await audit.head(database) == 3


async def test_empty_chain_is_whole(audit: Audit, database: Database) -> None:
    assert await audit.verify(database) is None
    assert await audit.head(database) == 0


@pytest.mark.parametrize(
    ("change", "first_bad"),
    [
        pytest.param("set actor = 'bob' where seq = 2", 2, id="who"),
        pytest.param("set action = 'key.drop' where seq = 2", 2, id="what"),
        pytest.param("set subject = 'key:2' where seq = 3", 3, id="to what"),
        pytest.param("set at = at + interval '1 us' where seq = 1", 1, id="when"),
        pytest.param("""set detail = '{"label": "x"}' where seq = 2""", 2, id="detail"),
        pytest.param("set detail = detail - 'nothing' where seq = 2", 2, id="less detail"),
        pytest.param("set mac = sha256(mac) where seq = 2", 2, id="seal"),
        pytest.param("set prev = sha256(prev) where seq = 2", 2, id="link"),
        pytest.param("set seq = 9 where seq = 3", 3, id="number"),
    ],
)
async def test_change_shows(
    audit: Audit, database: Database, clock: FakeClock, change: str, first_bad: int
) -> None:
    await write_three(audit, database, clock)

    await database.execute(f"update audit_log {change}")

    assert await audit.verify(database) == first_bad


@pytest.mark.parametrize("seq", [1, 2])
async def test_row_that_was_cut_out_shows(
    audit: Audit, database: Database, clock: FakeClock, seq: int
) -> None:
    await write_three(audit, database, clock)

    await database.execute("delete from audit_log where seq = $1", seq)

    assert await audit.verify(database) == seq


async def test_rows_that_were_swapped_show(
    audit: Audit, database: Database, clock: FakeClock
) -> None:
    await write_three(audit, database, clock)

    await database.execute("update audit_log set seq = 5 - seq + 100 where seq > 1")
    await database.execute("update audit_log set seq = seq - 100 where seq > 1")

    assert await audit.verify(database) == 2


async def test_chain_goes_on_under_a_new_key_of_the_ring(
    database: Database, clock: FakeClock
) -> None:
    old, new = ("old", b"o" * 32), ("new", b"n" * 32)
    await write(Audit(KeyRing([old]), clock), database)
    after = Audit(KeyRing([new, old]), clock)

    await write(after, database)

    assert await after.verify(database) is None
    assert await Audit(KeyRing([new]), clock).verify(database) == 1


async def test_writers_at_once_make_one_chain_without_gaps(
    audit: Audit, database: Database
) -> None:
    await asyncio.gather(*(write(audit, database) for _ in range(32)))

    assert await audit.verify(database) is None
    assert await audit.head(database) == 32


async def test_change_that_is_undone_leaves_no_row(audit: Audit, database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await _fail_after_writing(audit, database)

    assert await audit.head(database) == 0


async def _fail_after_writing(audit: Audit, database: Database) -> None:
    async with database.transaction() as connection:
        await audit.write(connection, "ada", "key.add", "key:1", {})
        raise ZeroDivisionError


async def test_row_is_heard_of(audit: Audit, database: Database) -> None:
    heard = asyncio.Event()
    async with database.listen(CHANNEL, heard.set):
        await write(audit, database)

        async with asyncio.timeout(5):
            await heard.wait()
