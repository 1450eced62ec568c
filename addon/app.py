"""Puts the server together: everything is opened here, in one stack, and closed in reverse."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware

from addon.accounts.credentials import Accounts
from addon.accounts.grants import Grants
from addon.accounts.usage import UsageLog, UsageShipper
from addon.demo import DemoForm
from addon.device import DeviceReader
from addon.index.availability import Availability
from addon.index.items import Items
from addon.index.searches import Searches
from addon.index.titles import Titles
from addon.index.torrents import Torrents
from addon.key_pool.embedded import EmbeddedKeyPool
from addon.metadata.cinemeta import Cinemeta
from addon.play_token import PlayTokens
from addon.playback.resolve import Playback
from addon.routes import ROUTES
from addon.routes.play import clip_instead
from addon.routes.stremio import entry_instead
from addon.search.cache_check import CacheChecks
from addon.search.search import Search
from addon.search.title_lookup import TitleLookup
from addon.services import Services, State
from addon.sources.base import Source
from addon.sources.torznab import Torznab
from addon.sources.upstream_addon import UpstreamAddon
from addon.stores import STORES, demo
from addon.stores.base import Offer, Rate, Store, StoreParts
from addon.streams.assemble import StreamLists
from addon.urls import Urls
from chillproxy.pool import Pool
from infra.clock import Clock, SystemClock
from infra.db import Database
from infra.embedded_postgres import EmbeddedPostgres
from infra.http_client import HttpClient, is_public_address
from infra.keyring import KeyRing
from infra.limits import Budget, RateLimit
from infra.migrate import migrate
from infra.secret import Redactor
from infra.setting_values import RingKey
from infra.settings import Settings
from infra.spool import Spool
from infra.tasks import Background
from infra.web import EXCEPTION_HANDLERS, Edge, Prefix

_PARTITIONS_EVERY_SECONDS = 6 * 3600.0
_MINUTE = timedelta(minutes=1)


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What tests replace, and what a start tells people while it works."""

    clock: Clock = field(default_factory=SystemClock)
    redactor: Redactor = field(default_factory=Redactor)
    say: Callable[[str], None] = _silent
    on_ready: Callable[["Ready"], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Ready:
    """What a start can tell: the demo's auth, while the demo is on."""

    urls: Urls
    demo_auth: str | None


def create_app(settings: Settings, parts: Parts | None = None) -> Starlette:
    """Return the application; its lifespan opens and closes everything.

    Args:
        settings: with all secrets in place (`with_generated_secrets`).
        parts: what to use in place of the usual parts.
    """
    parts = parts or Parts()
    urls = Urls(settings.base_url)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        async with AsyncExitStack() as stack:
            yield {"services": await _open(stack, settings, urls, parts)}

    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(Prefix, prefix=urls.prefix),
            Middleware(
                Edge,
                replies={
                    "/stremio/torz/": entry_instead(urls, settings.addon_name),
                    "/stremio/play/": clip_instead(urls),
                },
            ),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # its Location would repeat the caller's Host
    return app


async def _open(stack: AsyncExitStack, settings: Settings, urls: Urls, parts: Parts) -> Services:
    for secret in settings.all_secrets():
        parts.redactor.learn(secret)
    clock = parts.clock
    database = await open_database(stack, settings, parts.say)
    background = await stack.enter_async_context(Background())
    http = await stack.enter_async_context(HttpClient.open())
    ring = keyring(settings.app_secret)
    torrents, titles = Torrents(database), Titles(database)
    availability = Availability(database, clock)

    pool = Pool.over(database, keyring(settings.pool_kek), clock, parts.redactor)
    await pool.usage.keep_partitions(settings.usage_retention_days)
    background.supervise("partitions", lambda: _keep_partitions(pool, settings), clock)
    key_pool = EmbeddedKeyPool(pool)
    background.supervise("pool changes", key_pool.watch, clock, longest_wait=1.0)
    form = DemoForm(database, pool, torrents, titles, ring, settings.demo)
    demo_is_on = await form.follow_pool()
    background.supervise("demo form", lambda: _follow_pool(pool, form), clock, longest_wait=1.0)

    grants = Grants(key_pool, clock, settings.pool_timeout)
    accounts = Accounts(
        grants if settings.enable_chillstreams_auth else None,
        _stores(settings, urls, http, clock),
        parts.redactor,
        settings.own_tokens,
    )
    spool = await stack.enter_async_context(
        Spool.open(
            settings.data_dir / "usage", clock=clock, ship=UsageShipper(key_pool),
            fsync_every=timedelta(milliseconds=settings.usage_fsync_ms),
        )
    )  # fmt: skip
    usage = UsageLog(spool, clock)
    search = Search(
        torrents,
        Searches(database, clock),
        TitleLookup(titles, [Cinemeta(http, settings.cinemeta_url)], clock),
        _sources(settings, http, clock),
        background,
        clock,
    )
    tokens = PlayTokens(ring)
    parts.on_ready(Ready(urls, str(form.auth) if demo_is_on else None))
    return Services(
        settings=settings,
        urls=urls,
        database=database,
        devices=DeviceReader(ring, settings.ipv6_prefix, settings.aggregator_secrets),
        accounts=accounts,
        lists=StreamLists(
            accounts,
            search,
            CacheChecks(availability, torrents, accounts),
            tokens,
            usage,
            urls,
            settings.addon_name,
        ),
        playback=Playback(
            accounts,
            torrents,
            availability,
            Items(database),
            usage,
            parts.redactor,
            clock,
            plain_stores=_plain_stores(settings),
        ),
        tokens=tokens,
        spool=spool,
        lists_per_user=RateLimit(clock, settings.lists_per_user, _MINUTE),
        lists_per_network=RateLimit(clock, settings.lists_per_network, _MINUTE),
    )


async def open_database(
    stack: AsyncExitStack, settings: Settings, say: Callable[[str], None]
) -> Database:
    """Open the database, started and migrated if need be."""
    direct = settings.direct_database_url
    if settings.database_url is None or direct is None:
        postgres = await stack.enter_async_context(
            EmbeddedPostgres.open(settings.data_dir, say=say)
        )
        url = direct_url = postgres.url
    else:
        url, direct_url = settings.database_url.reveal(), direct.reveal()
    for name in await migrate(direct_url):
        say(f"Applied migration {name}")
    return await stack.enter_async_context(Database.open(url))


def keyring(keys: tuple[RingKey, ...]) -> KeyRing:
    """Return the ring of a setting."""
    return KeyRing([(key.id, key.raw) for key in keys])


def _stores(settings: Settings, urls: Urls, http: HttpClient, clock: Clock) -> Mapping[str, Store]:
    """Return the stores by code."""
    budget = Budget()
    bases = {**settings.store_base_urls, demo.INFO.name: f"{urls.base}/demo"}
    return {
        offer.info.code: offer.make(
            StoreParts(http, budget, clock, bases[offer.info.name], _rates(settings, offer))
        )
        for offer in STORES
    }


def _rates(settings: Settings, offer: Offer) -> Mapping[str, Rate]:
    """Return the store's budgets; the operator's figure replaces the general one."""
    rates = dict(offer.info.rates)
    own = settings.store_rates.get(offer.info.name)
    if own is not None:
        usual = rates["general"]
        rates["general"] = Rate(own.calls, own.per, own.burst or usual.burst)
    return rates


def _plain_stores(settings: Settings) -> frozenset[str]:
    """Return the stores whose links may be http or private: those that the operator made so."""
    plain = {
        name
        for name, base in settings.store_base_urls.items()
        if base.startswith("http:") or not _may_be_public(urlsplit(base).hostname or "")
    }
    return frozenset({*plain, demo.INFO.name})


def _may_be_public(host: str) -> bool:
    is_address = host.replace(".", "").isdigit() or ":" in host
    return is_public_address(host) if is_address else "." in host


def _sources(settings: Settings, http: HttpClient, clock: Clock) -> list[Source]:
    indexers = [
        Torznab(http, clock, indexer.name, indexer.url, indexer.api_key)
        for indexer in settings.torznab_indexers
    ]
    addons = [
        UpstreamAddon(http, clock, addon.name, addon.url) for addon in settings.upstream_addons
    ]
    return [*indexers, *addons]


async def _keep_partitions(pool: Pool, settings: Settings) -> None:
    while True:
        await asyncio.sleep(_PARTITIONS_EVERY_SECONDS)
        await pool.usage.keep_partitions(settings.usage_retention_days)


async def _follow_pool(pool: Pool, form: DemoForm) -> None:
    epoch = await pool.epoch()
    while True:
        await form.follow_pool()
        epoch = await pool.next_epoch(epoch)
