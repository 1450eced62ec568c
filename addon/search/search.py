"""From a media id to the torrents that hold it: index first, live sources when it is stale."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from addon.index.searches import Searches
from addon.index.torrents import KnownTorrent, Torrents
from addon.media import MediaId, Title
from addon.search.title_lookup import TitleLookup
from addon.sources.base import Query, Source
from addon.titles.compare import Coverage, covers, matches_title
from addon.torrent import Found
from infra.cache import SingleFlight, TtlCache
from infra.clock import Clock, Deadline
from infra.errors import AppError
from infra.log import get_logger
from infra.tasks import Background, collect

log = get_logger()

_LIVE_SECONDS = 4.5
_READ_AT_ONCE = 100  # names read while somebody waits; the rest is read behind them
_FAILED_FOR = timedelta(minutes=1)
_MISCONFIGURED_FOR = timedelta(hours=1)


class Hit(msgspec.Struct, frozen=True):
    """A torrent that fits, and how its name says that it does."""

    torrent: KnownTorrent
    coverage: Coverage


class Hits(msgspec.Struct, frozen=True):
    """What was found, in no order; `title` is None when no metadata service knew it."""

    title: Title | None
    hits: tuple[Hit, ...]


class Search:
    """Finds torrents; whoever asks for one title at the same time shares one search."""

    def __init__(
        self,
        torrents: Torrents,
        searches: Searches,
        titles: TitleLookup,
        sources: Sequence[Source],
        background: Background,
        clock: Clock,
    ) -> None:
        self._torrents = torrents
        self._searches = searches
        self._titles = titles
        self._sources = {source.name: source for source in sources}
        self._background = background
        self._resting: TtlCache[str, str] = TtlCache(clock, ttl=_FAILED_FOR, size=1_000)
        self._searching: SingleFlight[str, None] = SingleFlight()

    async def find(self, media: MediaId, deadline: Deadline) -> Hits:
        """Return the torrents that hold a film or an episode.

        A source that fails or is late costs nothing but what it alone would have found; what a
        late one finds is kept for the next time.
        """
        title = await self._titles.get(media, deadline.within(_LIVE_SECONDS))
        await self._searching.do(str(media), lambda: self._refresh(media, title, deadline))
        known = await self._torrents.of_title(media, ())
        hits = [hit for torrent in known if (hit := _fit(torrent, media, title))]
        return Hits(title, tuple(hits))

    async def _refresh(self, media: MediaId, title: Title | None, deadline: Deadline) -> None:
        awake = {
            name: source for name, source in self._sources.items() if not self._resting.get(name)
        }
        due = await self._searches.due(media, {name: one.ttl for name, one in awake.items()})
        if not due:
            return
        live = deadline.within(_LIVE_SECONDS)
        query = Query(media, title)
        asked = await collect(
            {name: awake[name].search(query, live) for name in due}, live,
            keep=self._background, on_late=lambda name, found: self._keep(media, {name: found}),
        )  # fmt: skip
        for name, error in asked.errors.items():
            self._rest(name, error)
        await self._keep(media, asked.results)

    async def _keep(self, media: MediaId, results: dict[str, Sequence[Found]]) -> None:
        found = list({one.info_hash: one for each in results.values() for one in each}.values())
        await self._torrents.store(found[:_READ_AT_ONCE], media)
        if len(found) > _READ_AT_ONCE:
            self._background.start("read names", self._torrents.store(found[_READ_AT_ONCE:], media))
        await self._searches.mark(media, [(name, len(each)) for name, each in results.items()])

    def _rest(self, name: str, error: AppError) -> None:
        """Leave a source that failed alone for a while."""
        usual = _MISCONFIGURED_FOR if error.code == "source_misconfigured" else _FAILED_FOR
        span = max(error.retry_after or timedelta(0), usual)
        log.warning("source_failed", source=name, reason=error.message, rests=span.total_seconds())
        self._resting.put(name, error.message, span)


def _fit(torrent: KnownTorrent, media: MediaId, title: Title | None) -> Hit | None:
    coverage = covers(torrent.release, media, title)
    if coverage is None:
        return None
    if title is not None and not matches_title(torrent.release, title, by_id=torrent.by_id):
        return None
    if title is None and not torrent.by_id:
        return None
    if coverage is Coverage.UNPROVEN and not (torrent.by_id or torrent.files or torrent.hint):
        return None
    return Hit(torrent, coverage)
