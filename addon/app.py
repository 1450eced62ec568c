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
from addon.key_pool.remote import RemoteKeyPool
from addon.metadata.cinemeta import Cinemeta
from addon.metrics import MeteredStore, Metrics
from addon.pages import BELOW_ADDON, PAGES
from addon.play_token import PlayTokens
from addon.playback.resolve import Playback
from addon.routes import ROUTES
from addon.routes.play import clip_instead
from addon.routes.stremio import entry_instead
from addon.saved_configs import ConfigReader, EditAttempts, SavedConfigs
from addon.search.cache_check import CacheChecks
from addon.search.search import Search
from addon.search.title_lookup import TitleLookup
from addon.services import DemoSwitch, Services, State
from addon.sources.base import Source
from addon.sources.torznab import Torznab
from addon.sources.upstream_addon import UpstreamAddon
from addon.stores import STORES, demo
from addon.stores.base import Offer, Rate, Store, StoreParts
from addon.streams.assemble import StreamLists
from addon.urls import Urls
from chillproxy.api import ROUTES as POOL_ROUTES
from chillproxy.api.bearer import Bearer, Gate
from chillproxy.api.state import PoolState
from chillproxy.pool import Pool
from infra.clock import Clock, SystemClock
from infra.db import Database
from infra.embedded_postgres import EmbeddedPostgres
from infra.http_client import HttpClient, is_public_address
from infra.keyring import KeyRing
from infra.limits import Budget, RateLimit
from infra.migrate import migrate
from infra.scrypt import Scrypt
from infra.secret import Redactor, Secret
from infra.setting_values import RingKey
from infra.settings import Settings
from infra.spool import Spool
from infra.tasks import Background
from infra.web import EXCEPTION_HANDLERS, Edge, Prefix

_PARTITIONS_EVERY_SECONDS = 6 * 3600.0
_MINUTE = timedelta(minutes=1)
# Open requests have had ten seconds by then, and the whole end must take no more than twenty.
_FLUSH_AT_END = timedelta(seconds=6)
_SAVES_PER_NETWORK = 30  # an hour


def _silent(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Parts:
    """What tests replace, and what a start tells people while it works."""

    clock: Clock = field(default_factory=SystemClock)
    redactor: Redactor = field(default_factory=Redactor)
    say: Callable[[str], None] = _silent
    on_ready: Callable[["Ready"], None] = lambda _: None
    is_stopping: Callable[[], bool] = lambda: False


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
    routes = [*BELOW_ADDON, *ROUTES, *PAGES, *(POOL_ROUTES if settings.is_embedded_pool else [])]
    metrics = Metrics.make(
        routes=[route.path for route in routes],
        stores=[offer.info.name for offer in STORES],
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Mapping[str, object]]:
        async with AsyncExitStack() as stack:
            yield await _open(stack, settings, urls, parts, metrics)

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Prefix, prefix=urls.prefix),
            Middleware(
                Edge,
                replies={
                    "/stremio/torz/": entry_instead(urls, settings.addon_name),
                    "/stremio/play/": clip_instead(urls),
                },
                observe=metrics.requests.add_request,
            ),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # its Location would repeat the caller's Host
    return app


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on."""

    settings: Settings
    urls: Urls
    parts: Parts
    metrics: Metrics
    database: Database
    background: Background
    http: HttpClient
    ring: KeyRing

    @property
    def clock(self) -> Clock:
        return self.parts.clock


@dataclass(frozen=True, slots=True)
class _PoolSide:
    """How the pool is asked, and what routes and the start want to know of it."""

    key_pool: EmbeddedKeyPool | RemoteKeyPool
    demo: DemoSwitch
    demo_auth: str | None = None
    state: Mapping[str, object] = field(default_factory=dict)


async def _open(
    stack: AsyncExitStack, settings: Settings, urls: Urls, parts: Parts, metrics: Metrics
) -> Mapping[str, object]:
    """Open everything and return the state that routes are given."""
    for secret in settings.all_secrets():
        parts.redactor.learn(secret, lasting=True)
    ground = _Ground(
        settings=settings,
        urls=urls,
        parts=parts,
        metrics=metrics,
        database=await open_database(stack, settings, parts.say),
        background=await stack.enter_async_context(Background(metrics.background_failures.add)),
        http=await stack.enter_async_context(HttpClient.open()),
        ring=keyring(settings.app_secret),
    )
    side = await _open_pool(ground)
    ground.background.supervise("pool changes", side.key_pool.watch, ground.clock, longest_wait=1.0)
    spool = await stack.enter_async_context(
        Spool.open(
            settings.data_dir / "usage",
            clock=ground.clock,
            ship=UsageShipper(side.key_pool),
            fsync_every=timedelta(milliseconds=settings.usage_fsync_ms),
            flush_at_end=_FLUSH_AT_END,
        )
    )
    metrics.watch_spool(spool, ground.clock)
    metrics.watch_database(ground.database)
    services = _services(ground, side, spool)
    parts.on_ready(Ready(urls, side.demo_auth))
    return {**side.state, **State(services=services)}


async def _open_pool(ground: _Ground) -> _PoolSide:
    """Open the pool in this process, or the way to the one on another server."""
    settings, clock = ground.settings, ground.clock
    if not settings.is_embedded_pool:
        return _PoolSide(_remote_pool(ground), DemoSwitch(is_on=False))
    database, background = ground.database, ground.background
    pool = Pool.over(database, keyring(settings.pool_kek), clock, ground.parts.redactor)
    await pool.usage.keep_partitions(settings.usage_retention_days)
    background.supervise("partitions", lambda: _keep_partitions(pool, settings), clock)
    form = DemoForm(
        database, pool, Torrents(database), Titles(database), ground.ring, settings.demo
    )
    switch = DemoSwitch(await form.follow_pool())
    background.supervise(
        "demo form", lambda: _follow_pool(pool, form, switch), clock, longest_wait=1.0
    )
    return _PoolSide(
        EmbeddedKeyPool(pool),
        switch,
        str(form.auth) if switch.is_on else None,
        PoolState(pool=pool, gate=_gate(settings)),
    )


def _services(ground: _Ground, side: _PoolSide, spool: Spool) -> Services:
    settings, clock, database = ground.settings, ground.clock, ground.database
    accounts = _accounts(ground, side)
    usage = UsageLog(spool, clock)
    tokens = PlayTokens(ground.ring)
    saved_configs = SavedConfigs(database, ground.ring, clock, ground.background)
    return Services(
        settings=settings,
        urls=ground.urls,
        database=database,
        devices=DeviceReader(ground.ring, settings.ipv6_prefix, settings.aggregator_secrets),
        accounts=accounts,
        lists=_lists(ground, accounts, tokens, usage),
        playback=_playback(ground, accounts, usage),
        tokens=tokens,
        configs=ConfigReader(saved_configs),
        saved_configs=saved_configs,
        edit_attempts=EditAttempts(clock),
        passwords=Scrypt(),
        demo=side.demo,
        spool=spool,
        lists_per_user=RateLimit(clock, settings.lists_per_user, _MINUTE),
        lists_per_network=RateLimit(clock, settings.lists_per_network, _MINUTE),
        saves_per_network=RateLimit(clock, _SAVES_PER_NETWORK, timedelta(hours=1)),
        metrics=ground.metrics.registry,
        is_stopping=ground.parts.is_stopping,
    )


def _accounts(ground: _Ground, side: _PoolSide) -> Accounts:
    settings, metrics = ground.settings, ground.metrics
    grants = Grants(side.key_pool, ground.clock, settings.pool_timeout, metrics.pool_asks)
    stores = _stores(settings, ground.urls, ground.http, ground.clock)
    return Accounts(
        grants if settings.enable_chillstreams_auth else None,
        {code: MeteredStore(store, metrics.store_calls) for code, store in stores.items()},
        ground.parts.redactor,
        settings.own_tokens,
    )


def _lists(ground: _Ground, accounts: Accounts, tokens: PlayTokens, usage: UsageLog) -> StreamLists:
    settings, clock, database = ground.settings, ground.clock, ground.database
    torrents = Torrents(database)
    titles = TitleLookup(Titles(database), [Cinemeta(ground.http, settings.cinemeta_url)], clock)
    search = Search(
        torrents,
        Searches(database, clock),
        titles,
        _sources(settings, ground.http, clock),
        ground.background,
        clock,
        ground.metrics.searches,
    )
    return StreamLists(
        accounts,
        search,
        CacheChecks(Availability(database, clock), torrents, accounts),
        tokens,
        usage,
        ground.urls,
        settings.addon_name,
        ground.metrics.lists,
    )


def _playback(ground: _Ground, accounts: Accounts, usage: UsageLog) -> Playback:
    database = ground.database
    return Playback(
        accounts,
        Torrents(database),
        Availability(database, ground.clock),
        Items(database),
        usage,
        ground.parts.redactor,
        ground.background,
        ground.clock,
        ground.metrics.plays,
        plain_stores=_plain_stores(ground.settings),
    )


def _gate(settings: Settings) -> Gate:
    return Gate(
        [Bearer.of(key.secret, key.scopes) for key in settings.chillstreams_api_key],
        settings.internal_api_networks,
        settings.trusted_proxies,
    )


def _remote_pool(ground: _Ground) -> RemoteKeyPool:
    keys = ground.settings.chillstreams_api_key
    return RemoteKeyPool(
        ground.http,
        ground.clock,
        ground.parts.redactor,
        ground.settings.chillstreams_api_url or "",
        keys[0].secret if keys else Secret(""),
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


async def _follow_pool(pool: Pool, form: DemoForm, switch: DemoSwitch) -> None:
    epoch = await pool.epoch()
    while True:
        switch.is_on = await form.follow_pool()
        epoch = await pool.next_epoch(epoch)
