"""The stores under contract: each with its simulator, on both sides of every switch."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from addon.errors import Kind
from addon.stores import torbox
from addon.stores.base import Call, Rate, Store, StoreInfo
from infra.clock import Deadline
from infra.http_client import HttpClient
from infra.limits import Budget
from infra.secret import Secret
from tests.fakes import torbox as fake_torbox
from tests.fakes.clock import FakeClock
from tests.fakes.debrid import DebridSimulator
from tests.fakes.server import serve

# Long enough that none of them is part of an ordinary text.
KEY = "key-of-the-first-account"
OTHER_KEY = "key-of-another-account"
ONE_SLOT_KEY = "key-of-an-account-with-one-slot"
EXPIRED_KEY = "key-of-an-account-that-ended"
LOCKED_KEY = "key-of-an-account-in-trouble"
WRONG_KEY = "key-that-nobody-has-issued"


@dataclass(frozen=True, slots=True)
class Subject:
    """A store, its simulator, and the clock of both.

    One hour after it was added, a slow torrent is READY.
    """

    store: Store
    simulator: DebridSimulator
    clock: FakeClock
    when_locked: Kind
    when_full: Kind | None  # None: it is put into a queue

    def call(self, key: str = KEY, *, seconds: float = 5.0, user_ip: str | None = None) -> Call:
        """Return whose account is asked, with a fresh deadline."""
        return Call(Secret(key), Deadline.after(seconds), user_ip)


def unhurried(info: StoreInfo) -> dict[str, Rate]:
    """Return budgets that let a test make its calls without waiting."""
    return dict.fromkeys(info.rates, Rate(60_000, timedelta(minutes=1), 1_000))


Open = Callable[[], AbstractAsyncContextManager[Subject]]


@asynccontextmanager
async def open_torbox(switches: fake_torbox.Switches) -> AsyncIterator[Subject]:
    clock = FakeClock()
    account = fake_torbox.Account
    simulator = fake_torbox.TorBoxSimulator(
        clock.now,
        [
            account(KEY),
            account(OTHER_KEY),
            account(ONE_SLOT_KEY, slots=1),
            account(EXPIRED_KEY, expires_at=clock.now() - timedelta(days=1)),
            account(LOCKED_KEY, in_cooldown=True),
        ],
        switches=switches,
    )
    async with serve(simulator) as base_url, HttpClient.open(first_pause=0.01) as http:
        prefix = fake_torbox.PREFIX
        store = torbox.TorBox(http, Budget(), clock, base_url + prefix, unhurried(torbox.INFO))
        full = None if switches.slots_full == "queued" else Kind.SLOTS_FULL
        yield Subject(store, simulator, clock, Kind.RATE_LIMITED, full)


TORBOX = fake_torbox.Switches()
TORBOX_OTHERWISE = fake_torbox.Switches(
    not_cached_status=409,
    duplicate="item",
    slots_full="refused_without_code",
    empty_list_success=False,
    unknown_id="empty",
    check_answers="list",
    extra_row=False,
    numbers_as_text=True,
    cached_creations_count=True,
)
TORBOX_THIRD_WAY = fake_torbox.Switches(
    duplicate="already_queued",
    slots_full="queued",
    unknown_id="database_error",
    check_answers="null_when_empty",
)

SUBJECTS = [
    pytest.param(partial(open_torbox, TORBOX), id="torbox"),
    pytest.param(partial(open_torbox, TORBOX_OTHERWISE), id="torbox-otherwise"),
    pytest.param(partial(open_torbox, TORBOX_THIRD_WAY), id="torbox-third-way"),
]
