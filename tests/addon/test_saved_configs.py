"""The memory of saved configurations: short, true after a change, and there while rows are not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from addon.saved_configs import EditAttempts, SavedConfigs, digest_of
from infra.db import Database
from infra.errors import DatabaseUnavailable, TooMany
from infra.keyring import KeyRing
from infra.tasks import Background
from tests.fakes.clock import FakeClock

TEXT = b'{"stores":[{"c":"tb","t":"one"}]}'
OTHER = b'{"stores":[{"c":"rd","t":"two"}]}'


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    async with Background() as background:
        yield background


@pytest.fixture
def saved(
    database: Database, ring: KeyRing, clock: FakeClock, background: Background
) -> SavedConfigs:
    return SavedConfigs(database, ring, clock, background)


async def create(saved: SavedConfigs) -> bytes:
    digest = digest_of(await saved.create(TEXT, owner=None, password=None))
    assert digest is not None
    return digest


async def store_of(saved: SavedConfigs, digest: bytes) -> str | None:
    config = await saved.open(digest)
    return config.stores[0].code if config else None


async def test_another_process_hears_of_a_change_within_ten_seconds(
    database: Database, ring: KeyRing, clock: FakeClock, background: Background, saved: SavedConfigs
) -> None:
    elsewhere = SavedConfigs(database, ring, clock, background)
    digest = await create(saved)
    await elsewhere.open(digest)

    await saved.delete(digest)
    here, at_first = await store_of(saved, digest), await store_of(elsewhere, digest)
    clock.advance(10)
    in_the_end = await store_of(elsewhere, digest)

    assert (here, at_first, in_the_end) == (None, "tb", None)


async def test_what_is_not_there_is_remembered_as_short(
    database: Database, ring: KeyRing, clock: FakeClock, background: Background, saved: SavedConfigs
) -> None:
    elsewhere = SavedConfigs(database, ring, clock, background)
    digest = await create(saved)
    row = await database.fetchrow("delete from saved_configs returning *")
    assert row is not None
    assert await store_of(elsewhere, digest) is None

    await database.execute(
        "insert into saved_configs (id_digest, key_id, sealed) values ($1, $2, $3)",
        row["id_digest"], row["key_id"], row["sealed"],
    )  # fmt: skip

    at_first = await store_of(elsewhere, digest)
    clock.advance(10)
    assert (at_first, await store_of(elsewhere, digest)) == (None, "tb")


async def test_slow_read_does_not_bring_back_what_was_deleted_meanwhile(
    database: Database, ring: KeyRing, clock: FakeClock, background: Background
) -> None:
    class SlowReads(SavedConfigs):
        """Its reads hold their row for a while."""

        has_read = asyncio.Event()
        may_go_on = asyncio.Event()

        async def find(self, digest: bytes):  # type: ignore[no-untyped-def]
            row = await super().find(digest)
            self.has_read.set()
            await self.may_go_on.wait()
            return row

    slow = SlowReads(database, ring, clock, background)
    digest = await create(slow)
    reading = asyncio.ensure_future(slow.open(digest))
    await slow.has_read.wait()

    await slow.delete(digest)
    slow.may_go_on.set()
    await reading

    assert await slow.open(digest) is None


async def test_lists_go_on_from_memory_while_the_database_is_away(
    database: Database, ring: KeyRing, clock: FakeClock, background: Background, saved: SavedConfigs
) -> None:
    known, unknown = await create(saved), await create(saved)
    await saved.open(known)
    database.pool.terminate()
    clock.advance(60)

    went_on = await store_of(saved, known)

    assert went_on == "tb"
    with pytest.raises(DatabaseUnavailable):
        await saved.open(unknown)
    clock.advance(timedelta(minutes=10))
    with pytest.raises(DatabaseUnavailable):
        await saved.open(known)


class TestRing:
    async def test_older_key_still_opens_and_use_seals_anew(
        self, database: Database, clock: FakeClock
    ) -> None:
        before = KeyRing([("old", b"o" * 32)])
        after = KeyRing([("new", b"n" * 32), ("old", b"o" * 32)])
        async with Background() as background:
            digest = await create(SavedConfigs(database, before, clock, background))
            await database.execute(
                "update saved_configs set used_at = used_at - interval '9 years'"
            )

            code = await store_of(SavedConfigs(database, after, clock, background), digest)
            async with asyncio.timeout(5):
                while not await database.fetchval("select key_id = 'new' from saved_configs"):  # noqa: ASYNC110  a row has no event
                    await asyncio.sleep(0.01)

            only_new = KeyRing([("new", b"n" * 32)])
            assert code == "tb"
            assert (
                await store_of(SavedConfigs(database, only_new, clock, background), digest) == "tb"
            )

    async def test_key_that_was_taken_out_opens_nothing(
        self, database: Database, clock: FakeClock, background: Background, saved: SavedConfigs
    ) -> None:
        digest = await create(saved)
        foreign = SavedConfigs(database, KeyRing([("new", b"f" * 32)]), clock, background)

        assert await foreign.open(digest) is None


async def test_use_does_not_undo_a_change(
    database: Database, clock: FakeClock, saved: SavedConfigs
) -> None:
    digest = await create(saved)
    before = await saved.find(digest)
    assert before is not None

    await saved.change(digest, OTHER, owner=None, password=None)
    await saved._note_use(digest, before)

    assert await store_of(saved, digest) == "rd"


class TestAttempts:
    def test_five_failures_block_for_a_quarter_of_an_hour(self, clock: FakeClock) -> None:
        attempts = EditAttempts(clock)
        for _ in range(5):
            attempts.begin("key")

        with pytest.raises(TooMany):
            attempts.begin("key")
        clock.advance(timedelta(minutes=15))
        attempts.begin("key")

    def test_keys_are_counted_apart(self, clock: FakeClock) -> None:
        attempts = EditAttempts(clock)

        for at in range(20):
            attempts.begin(f"key {at}")
