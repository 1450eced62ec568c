"""Random walks through admission against a model in plain Python that says what each answer is.

The model decides from the rules alone: which keys would do, and if none would, why. Among several
keys the pool may choose, except that a user keeps the key of before where that will do. A walk
follows from its seed, so one that fails is walked again.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from chillproxy.errors import Refused
from chillproxy.models import Action, Grant, Lease
from chillproxy.pool import Pool
from tests.chillproxy.asking import ACTOR, add_key, add_user, ask, live_leases
from tests.chillproxy.invariants import breaches

_STEPS = 60
_DEVICES = ("phone", "tv", "browser", "tablet")
_MEDIA = ("tt0000001", "tt0000002")
_NETWORKS = (b"home", b"away")


@dataclass(slots=True)
class Seat:
    user: int | None = None
    left_by: int | None = None


@dataclass(slots=True)
class Key:
    id: int
    max_streams: int
    is_single: bool
    seats: list[Seat]
    state: str = "active"

    @property
    def is_open(self) -> bool:
        return self.state == "active"


@dataclass(slots=True)
class User:
    id: int
    auth: UUID
    max_devices: int
    max_streams: int
    is_disabled: bool = False
    devices: dict[str, int] = field(default_factory=dict)  # by their numbers
    revoked: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Held:
    """A live lease."""

    user: int
    device: str
    key: int
    media: str
    network: bytes
    lease: Lease


@dataclass(frozen=True, slots=True)
class Question:
    user: User
    device: str
    media: str
    network: bytes
    exclude: frozenset[int]


@dataclass(slots=True)
class Model:
    """The pool as it should be."""

    keys: dict[int, Key] = field(default_factory=dict)
    users: list[User] = field(default_factory=list)
    held: dict[tuple[int, str], Held] = field(default_factory=dict)

    def refuses_device(self, question: Question) -> str | None:
        user, device = question.user, question.device
        if user.is_disabled:
            return "user_disabled"
        is_new = device not in user.devices
        if device in user.revoked or (is_new and len(user.devices) >= user.max_devices):
            return "device_limit"
        return None

    def keys_to_sit_at(self, question: Question) -> list[int]:
        """Return the keys that take a list's device, the own one alone if it will do."""
        own = self.seat_key(question.user)
        if own is not None and self._serves(question, own):
            return [own]
        return [key for key in self.keys if self._has_seat(question, key)]

    def may_renew(self, question: Question) -> bool:
        own = self._own(question)
        return (
            own is not None
            and own.media == question.media
            and own.key not in question.exclude
            and not self._meets_other_network(question, own.key)
        )

    def keys_to_play(self, question: Question) -> list[int] | str:
        """Return the keys that would do, the own one alone if it will; or why none does."""
        user, own = question.user, self._own(question)
        others = [held for held in self.held.values() if held.user == user.id and held is not own]
        if len(others) >= user.max_streams:
            return "stream_limit"
        if others and own is None and self._is_scarce(user):
            return "pool_busy"
        seat_key = self.seat_key(user)
        sits = seat_key if seat_key is not None and self._serves(question, seat_key) else None
        wanted = [key for key in self.keys if key == sits or self._has_seat_and_slot(question, key)]
        fitting = [key for key in wanted if not self._meets_other_network(question, key)]
        usable = [key for key in fitting if self._has_slot(question, key)]
        if usable:
            return [sits] if sits in usable and sits is not None else usable
        met = len(fitting) < len(wanted) or (
            own is not None
            and own.media == question.media
            and own.key not in question.exclude
            and self._meets_other_network(question, own.key)
        )
        if met:
            return "network_conflict"
        if sits is not None or any(self._has_seat(question, key) for key in self.keys):
            return "pool_busy"
        return "no_key"

    def seat_key(self, user: User) -> int | None:
        for key in self.keys.values():
            if any(seat.user == user.id for seat in key.seats):
                return key.id
        return None

    def sit(self, user: User, key_id: int) -> None:
        before = self.seat_key(user)
        if before == key_id:
            return
        if before is not None:
            left = next(seat for seat in self.keys[before].seats if seat.user == user.id)
            left.user, left.left_by = None, user.id
        vacant = [seat for seat in self.keys[key_id].seats if self._is_vacant(seat, key_id, user)]
        taken = min(vacant, key=lambda seat: (seat.left_by != user.id, seat.left_by is not None))
        taken.user, taken.left_by = user.id, None

    def end(self, over: Callable[[Held], bool]) -> None:
        self.held = {who: held for who, held in self.held.items() if not over(held)}

    def _own(self, question: Question) -> Held | None:
        return self.held.get((question.user.id, question.device))

    def _serves(self, question: Question, key_id: int) -> bool:
        return self.keys[key_id].is_open and key_id not in question.exclude

    def _is_vacant(self, seat: Seat, key_id: int, user: User) -> bool:
        if seat.user is not None:
            return False
        still_there = any(
            held.key == key_id and held.user == seat.left_by for held in self.held.values()
        )
        return seat.left_by == user.id or not still_there

    def _has_seat(self, question: Question, key_id: int) -> bool:
        return self._serves(question, key_id) and any(
            self._is_vacant(seat, key_id, question.user) for seat in self.keys[key_id].seats
        )

    def _has_slot(self, question: Question, key_id: int) -> bool:
        own = self._own(question)
        live = sum(held.key == key_id for held in self.held.values() if held is not own)
        return live < self.keys[key_id].max_streams

    def _has_seat_and_slot(self, question: Question, key_id: int) -> bool:
        return self._has_seat(question, key_id) and self._has_slot(question, key_id)

    def _meets_other_network(self, question: Question, key_id: int) -> bool:
        own = self._own(question)
        return self.keys[key_id].is_single and any(
            held.key == key_id and held is not own and held.network != question.network
            for held in self.held.values()
        )

    def _is_scarce(self, user: User) -> bool:
        open_keys = [key for key in self.keys.values() if key.is_open]
        total = sum(key.max_streams for key in open_keys)
        live = sum(held.key in {key.id for key in open_keys} for held in self.held.values())
        wanted = any(
            seat.user not in {None, user.id} for key in self.keys.values() for seat in key.seats
        )
        return wanted and total > 0 and total - live <= max(1, total // 10)


class Walk:
    """Does to the pool and to the model the same, and compares."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool = pool
        self.random = random.Random(seed)
        self.model = Model()
        self.replaced: list[Lease] = []
        self.answers: set[str] = set()

    async def begin(self) -> None:
        await self._execute("truncate pool_users, pool_keys, audit_log restart identity cascade")
        for _ in range(self.random.randint(1, 3)):
            await self._add_key(self.random.randint(1, 3), self.random.randint(1, 4))
        for number in range(1, self.random.randint(3, 4) + 1):
            devices, streams = self.random.randint(1, 4), self.random.randint(1, 3)
            auth = await add_user(self.pool, max_devices=devices, max_streams=streams)
            self.model.users.append(User(number, auth, devices, streams))

    async def step(self) -> None:
        deeds = {
            self.play: 60, self.look: 12, self.release: 6, self.run_out: 6, self.revoke: 1,
            self.disable_user: 1, self.enable_user: 3, self.disable_key: 1, self.enable_key: 4,
            self.throttle: 2, self.quarantine: 1, self.rest: 4,
        }  # fmt: skip
        await self.random.choices(list(deeds), list(deeds.values()))[0]()
        assert await breaches(self.pool.database) == []
        assert await live_leases(self.pool.database) == len(self.model.held)

    async def play(self) -> None:
        question = self._question()
        before = self.model.held.get((question.user.id, question.device))
        answer = await self._ask(question, "generate-link")
        expected = self.model.refuses_device(question)
        if expected is not None:
            assert answer == expected
            return
        await self._seat_device(question)
        if before is not None and self.model.may_renew(question):
            assert isinstance(answer, Grant)
            assert answer.lease is not None
            assert (answer.lease.id, answer.lease.fence) == (
                before.lease.id,
                before.lease.fence + 1,
            )
            self._hold(question, answer.key_id, answer.lease)
            return
        keys = self.model.keys_to_play(question)
        if isinstance(keys, str):
            assert answer == keys
            return
        assert isinstance(answer, Grant)
        assert answer.lease is not None
        assert answer.key_id in keys
        assert before is None or answer.lease.id != before.lease.id
        self.model.sit(question.user, answer.key_id)
        self._hold(question, answer.key_id, answer.lease)

    async def look(self) -> None:
        question = self._question()
        action: Action = self.random.choice(("init", "check-cache"))
        answer = await self._ask(question, action)
        expected = self.model.refuses_device(question)
        if expected is not None:
            assert answer == expected
            return
        if action == "init":
            await self._seat_device(question)
        keys = self.model.keys_to_sit_at(question)
        if not keys:
            assert answer == "no_key"
            return
        assert isinstance(answer, Grant)
        assert answer.lease is None
        assert answer.key_id in keys
        if action == "init":
            self.model.sit(question.user, answer.key_id)

    async def release(self) -> None:
        live = [held.lease for held in self.model.held.values()]
        if live or self.replaced:
            lease = self.random.choice([*live, *self.replaced])
            assert await self.pool.release(lease) == (lease in live)
            self.model.end(lambda held: held.lease == lease)

    async def run_out(self) -> None:
        """Let the time of one lease pass."""
        if self.model.held:
            lease = self.random.choice(list(self.model.held.values())).lease
            await self._execute(
                "update pool_slots set expires_at = now() - interval '1 second'"
                " where lease_id = $1",
                lease.id,
            )
            self.model.end(lambda held: held.lease == lease)

    async def revoke(self) -> None:
        user = self.random.choice(self.model.users)
        if user.devices:
            device, number = user.devices.popitem()
            await self.pool.devices.revoke(number, actor=ACTOR)
            user.revoked.add(device)
            self.model.end(lambda held: (held.user, held.device) == (user.id, device))

    async def disable_user(self) -> None:
        user = self.random.choice(self.model.users)
        await self.pool.users.disable(user.id, actor=ACTOR)
        user.is_disabled = True
        for key in self.model.keys.values():
            for seat in key.seats:
                seat.user = None if seat.user == user.id else seat.user
        self.model.end(lambda held: held.user == user.id)

    async def enable_user(self) -> None:
        user = self.random.choice(self.model.users)
        await self._execute("update pool_users set disabled_at = null where id = $1", user.id)
        user.is_disabled = False

    async def disable_key(self) -> None:
        key = self._key()
        await self.pool.keys.disable(key.id, actor=ACTOR)
        key.state = "disabled"
        self.model.end(lambda held: held.key == key.id)

    async def enable_key(self) -> None:
        key = self._key()
        await self.pool.keys.enable(key.id, actor=ACTOR)
        key.state = "active"

    async def throttle(self) -> None:
        key = self._key()
        await self.pool.report(key.id, "rate_limited", timedelta(minutes=5))
        key.state = "throttled" if key.state == "active" else key.state

    async def quarantine(self) -> None:
        key = self._key()
        await self.pool.report(key.id, "auth_invalid")
        if key.state != "disabled":
            key.state = "quarantined"
            self.model.end(lambda held: held.key == key.id)

    async def rest(self) -> None:
        """Let the time of resting keys pass."""
        for table in ("pool_keys", "pool_seats", "pool_slots"):
            await self._execute(
                f"update {table} set closed_until = '2020-01-01'"
                " where closed_until < 'infinity' and closed_until > now()"
            )
        for key in self.model.keys.values():
            key.state = "disabled" if key.state == "disabled" else "active"

    async def _ask(self, question: Question, action: Action) -> Grant | str:
        try:
            grant = await ask(
                self.pool,
                question.user.auth,
                question.device,
                action,
                media=question.media,
                network=question.network,
                exclude=sorted(question.exclude),
            )
        except Refused as refused:
            self.answers.add(refused.code)
            return refused.code
        self.answers.add("grant")
        return grant

    async def _add_key(self, max_users: int, max_streams: int) -> None:
        is_single = self.random.random() < 0.4
        key = await add_key(
            self.pool,
            max_users=max_users,
            max_streams=max_streams,
            network_policy="single_network" if is_single else "any",
        )
        seats = [Seat() for _ in range(max_users)]
        self.model.keys[key.id] = Key(key.id, max_streams, is_single, seats)

    async def _seat_device(self, question: Question) -> None:
        """Note the number of a device that the pool has just seated, granted or not."""
        if question.device not in question.user.devices:
            rows = await self.pool.devices.of_user(question.user.id)
            question.user.devices[question.device] = max(row.id for row in rows)

    def _hold(self, question: Question, key_id: int, lease: Lease) -> None:
        who = (question.user.id, question.device)
        if who in self.model.held:
            self.replaced.append(self.model.held[who].lease)
        self.model.held[who] = Held(*who, key_id, question.media, question.network, lease)

    def _question(self) -> Question:
        excluded = self.random.choice(((), (), (1,), (2,), (1, 2)))
        return Question(
            self.random.choice(self.model.users),
            self.random.choice(_DEVICES),
            self.random.choice(_MEDIA),
            self.random.choices(_NETWORKS, (4, 1))[0],
            frozenset(excluded),
        )

    def _key(self) -> Key:
        return self.random.choice(list(self.model.keys.values()))

    async def _execute(self, query: str, *values: object) -> None:
        await self.pool.database.execute(query, *values)


@pytest.mark.parametrize(
    "walks",
    [
        pytest.param(25, id="short"),
        pytest.param(500, id="long", marks=[pytest.mark.deep, pytest.mark.timeout(900)]),
    ],
)
async def test_pool_answers_as_the_model_does(pool: Pool, walks: int) -> None:
    answers: set[str] = set()

    for seed in range(walks):
        walk = Walk(pool, seed)
        try:
            await walk.begin()
            for _ in range(_STEPS):
                await walk.step()
        except AssertionError as error:
            error.add_note(f"on the walk of seed {seed}")
            raise
        answers |= walk.answers

    assert answers == {
        "grant", "device_limit", "network_conflict", "no_key", "pool_busy", "stream_limit",
        "user_disabled",
    }  # fmt: skip
