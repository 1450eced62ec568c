"""Everything that changes the pool at once: nobody waits in a circle, no limit is passed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from chillproxy.errors import Refused
from chillproxy.models import Action, Grant, Lease
from chillproxy.pool import Pool
from infra.db import Database
from infra.errors import NotFound
from tests.chillproxy.asking import (
    ACTOR,
    add_key,
    add_user,
    age_devices,
    ask,
    end_leases,
    live_leases,
)
from tests.chillproxy.invariants import breaches

_DEVICES = ("phone", "tv", "browser", "tablet")
_KINDS = ("rate_limited", "auth_invalid", "quota_exhausted", "server_error")


async def outcomes(*calls: Awaitable[object]) -> Counter[str]:
    """Wait for all; return how often each answer came: a refusal's code, or the name of a type."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(
        answer.code if isinstance(answer, Refused) else type(answer).__name__ for answer in answers
    )


async def test_users_who_try_two_single_network_keys_in_turn_do_not_block_each_other(
    pool: Pool,
) -> None:
    keys = [
        await add_key(pool, network_policy="single_network", max_users=20, max_streams=20)
        for _ in range(2)
    ]
    for key in keys:
        holder = await add_user(pool)
        others = [other.id for other in keys if other is not key]
        await ask(pool, holder, network=b"their home", exclude=others)
    seated = []
    for number in range(16):
        seated.append(await add_user(pool))
        await ask(pool, seated[-1], "tv", "init", exclude=[keys[number % 2].id])

    answers = await outcomes(
        *(ask(pool, auth, network=b"away") for _ in range(10) for auth in seated)
    )

    assert answers == {"network_conflict": 160}


async def test_disabling_keys_and_users_and_playing_do_not_block_each_other(
    pool: Pool, database: Database
) -> None:
    keys = [await add_key(pool, max_users=30, max_streams=30) for _ in range(2)]
    users = [await add_user(pool, max_devices=9, max_streams=9) for _ in range(6)]
    for number in range(8):  # in changing order, so that rows do not lie by their numbers
        for auth in sorted(users, key=lambda auth: (number, auth)):
            with_key = keys[number % 2].id
            await ask(pool, auth, f"device-{number}", exclude=[with_key])

    answers = await outcomes(
        *(pool.keys.disable(key.id, actor=ACTOR) for key in keys),
        *(pool.users.disable(number, actor=ACTOR) for number in range(1, 7)),
        *(ask(pool, auth, "device-0", media="tt0000002") for auth in users),
    )

    assert set(answers) <= {"Key", "User", "Grant", "no_key", "pool_busy", "user_disabled"}
    assert await live_leases(database) == 0


async def test_replacing_devices_does_not_block_the_closing_of_keys(
    pool: Pool, database: Database
) -> None:
    key = await add_key(pool, max_users=30, max_streams=90)
    users = [await add_user(pool, max_devices=3, max_streams=3) for _ in range(12)]
    for number in (2, 0, 1):
        for auth in users:
            await ask(pool, auth, f"old-{number}")
    await end_leases(database)
    await age_devices(database, timedelta(hours=25))

    answers = await outcomes(
        *(ask(pool, auth, f"new-{number}") for auth in users for number in range(2)),
        *(pool.report(key.id, "quota_exhausted", timedelta(hours=n)) for n in range(1, 9)),
        *(pool.devices.revoke(number, actor=ACTOR) for number in range(1, 37)),
    )

    assert set(answers) <= {"Grant", "no_key", "str", "NoneType", "NotFound", "device_limit"}
    assert await breaches(database) == []


async def test_seat_that_another_lets_go_of_is_not_refused(pool: Pool, database: Database) -> None:
    # The last seat of the first key is locked by players who find no slot there and go on.
    full = await add_key(pool, max_users=20, max_streams=1, priority=1)
    await ask(pool, await add_user(pool))
    await add_key(pool, max_users=40, max_streams=40)
    users = [await add_user(pool) for _ in range(40)]

    answers = await outcomes(
        *(
            ask(pool, auth, "tv", "init" if n % 2 else "generate-link")
            for n, auth in enumerate(users)
        )
    )

    assert answers == {"Grant": 40}
    seats = await database.fetchval(
        "select count(user_id) from pool_seats where key_id = $1", full.id
    )
    assert seats >= 1


async def test_slot_released_while_others_wait_is_taken(pool: Pool, database: Database) -> None:
    await add_key(pool, max_users=64, max_streams=8)
    users = [await add_user(pool) for _ in range(16)]
    grants = [await ask(pool, auth) for auth in users[:8]]

    await asyncio.gather(*(pool.release(grant.lease) for grant in grants if grant.lease))
    answers = await outcomes(*(ask(pool, auth) for auth in users[8:]))

    assert answers == {"Grant": 8}


@dataclass(slots=True)
class Storm:
    """Does random things to one pool, many at a time, until the time is up."""

    pool: Pool
    database: Database
    auths: list[UUID]
    random: random.Random
    leases: list[Lease] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    async def rage(self, seconds: float, workers: int) -> None:
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*(self._work(until) for _ in range(workers)), self._watch(until))

    async def _work(self, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            deed = self.random.choices(*zip(*self._deeds(), strict=True))[0]
            try:
                await deed()
            except Refused as refused:
                self.answers[refused.code] += 1
            except NotFound:
                self.answers["not_found"] += 1

    async def _watch(self, until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            assert await breaches(self.database) == []
            await asyncio.sleep(0.02)

    def _deeds(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        key_id, user_id = self.random.randint(1, 5), self.random.randint(1, len(self.auths))
        device_id = self.random.randint(1, 40)
        pool = self.pool
        return [
            (lambda: self._ask("generate-link"), 60),
            (lambda: self._ask("init"), 15),
            (lambda: self._ask("check-cache"), 10),
            (self._release, 8),
            (lambda: pool.keys.disable(key_id, actor=ACTOR), 2),
            (lambda: pool.keys.enable(key_id, actor=ACTOR), 6),
            (lambda: pool.report(key_id, self.random.choice(_KINDS), timedelta(seconds=1)), 4),
            (lambda: pool.users.disable(user_id, actor=ACTOR), 2),
            (lambda: self._pardon(user_id), 4),
            (lambda: pool.devices.revoke(device_id, actor=ACTOR), 1),
            (lambda: self._age(user_id), 2),
            (lambda: self._expire(user_id), 3),
        ]

    async def _ask(self, action: Action) -> None:
        grant: Grant = await ask(
            self.pool,
            self.random.choice(self.auths),
            self.random.choice(_DEVICES),
            action,
            media=self.random.choice(("tt0000001", "tt0000002")),
            network=self.random.choice((b"home", b"away")),
            exclude=self.random.choice(((), (), (1,), (2, 3))),
            device_class=self.random.choice(("", "tv")),
        )
        self.answers["grant"] += 1
        if grant.lease:
            self.leases.append(grant.lease)

    async def _release(self) -> None:
        if self.leases:
            await self.pool.release(self.leases.pop(self.random.randrange(len(self.leases))))

    async def _pardon(self, user_id: int) -> None:
        await self.database.execute(
            "update pool_users set disabled_at = null, expires_at = null where id = $1", user_id
        )

    async def _age(self, user_id: int) -> None:
        """Let devices be idle for long, as only those can be that hold no lease."""
        async with self.database.transaction() as connection:
            await connection.execute(
                "select from pool_users where id = $1 for no key update", user_id
            )
            await connection.execute(
                "update pool_devices d set last_seen_at = last_seen_at - $2::interval"
                " where user_id = $1 and not exists (select from pool_slots s"
                "     where s.device_id = d.id and s.expires_at > clock_timestamp())",
                user_id,
                timedelta(hours=self.random.choice((1, 25, 800))),
            )

    async def _expire(self, user_id: int) -> None:
        await self.database.execute(
            "update pool_users set expires_at = now() where id = $1", user_id
        )


@pytest.mark.parametrize(
    ("seconds", "workers"),
    [
        pytest.param(2, 24, id="short"),
        pytest.param(30, 64, id="long", marks=[pytest.mark.deep, pytest.mark.timeout(180)]),
    ],
)
async def test_storm_of_changes_breaks_no_rule_and_blocks_nobody(
    pool: Pool, database: Database, seconds: float, workers: int
) -> None:
    for number in range(5):
        await add_key(
            pool,
            max_users=2,
            max_streams=3,
            network_policy="single_network" if number % 2 else "any",
        )
    auths = [await add_user(pool, max_devices=3, max_streams=2) for _ in range(12)]
    storm = Storm(pool, database, auths, random.Random(7))

    await storm.rage(seconds, workers)

    assert await breaches(database) == []
    assert storm.answers["grant"] > 100
