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
from infra.metrics import Counts
from infra.tasks import Background, Collected, collect

log = get_logger()

SEARCH_OUTCOMES = ("found", "nothing", "late", "failed")

_LIVE_SECONDS = 4.5  # for title and sources together; the rest of a list is for the check
_TITLE_SECONDS = 2.0
_READ_AT_ONCE = 100  # names read while somebody waits; the rest is read behind them
_KEEP_SECONDS = 2.0
_FAILED_FOR = timedelta(minutes=1)
_MISCONFIGURED_FOR = timedelta(hours=1)


class SourcesAway(AppError):
    """Nothing was found, and some sources could not be asked; the message is for viewers."""

    code = "provider_down"
    shown = True

    def __init__(self) -> None:
        super().__init__("The sources of torrents do not answer")


class Hit(msgspec.Struct, frozen=True):
    """A torrent that fits, and how its name says that it does."""

    torrent: KnownTorrent
    coverage: Coverage


class Hits(msgspec.Struct, frozen=True):
    """What was found, in no order.

    Attributes:
        title: None when no metadata service knew it, or none answered.
        failed: names of sources that could not be asked.
    """

    title: Title | None
    hits: tuple[Hit, ...]
    failed: tuple[str, ...] = ()


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
        asked: Counts,
    ) -> None:
        self._torrents = torrents
        self._searches = searches
        self._titles = titles
        self._sources = {source.name: source for source in sources}
        self._background = background
        self._asked = asked
        self._resting: TtlCache[str, str] = TtlCache(clock, ttl=_FAILED_FOR, size=1_000)
        self._searching: SingleFlight[str, None] = SingleFlight()

    async def find(self, media: MediaId, deadline: Deadline) -> Hits:
        """Return the torrents that hold a film or an episode.

        A source that fails or is late costs nothing but what it alone would have found; what a
        late one finds is kept for the next time.
        """
        live = deadline.within(_LIVE_SECONDS)
        title = await self._titles.get(media, live.within(_TITLE_SECONDS))
        await self._searching.do(str(media), lambda: self._refresh(media, title, live))
        known = await self._torrents.of_title(media, ())
        hits = [hit for torrent in known if (hit := _fit(torrent, media, title))]
        return Hits(title, tuple(hits), tuple(filter(self._resting.get, self._sources)))

    async def _refresh(self, media: MediaId, title: Title | None, live: Deadline) -> None:
        awake = {
            name: source for name, source in self._sources.items() if not self._resting.get(name)
        }
        due = await self._searches.due(media, {name: one.ttl for name, one in awake.items()})
        query = Query(media, title)
        asked = await collect(
            {name: awake[name].search(query, live) for name in due},
            live,
            keep=self._background,
            on_late=lambda name, found: self._keep(query, name, found),
        )
        for name in due:
            self._asked.add(_outcome(asked, name))
        for name in asked.errors.keys() - asked.late:
            self._rest(name, asked.errors[name])
        # Each by itself: what one source sends must not cost what another found.
        await collect(
            {name: self._keep(query, name, found) for name, found in asked.results.items()},
            Deadline.after(_KEEP_SECONDS),
            keep=self._background,
        )

    async def _keep(self, query: Query, name: str, found: Sequence[Found]) -> None:
        """Store what a source found, and that it was asked."""
        await self._torrents.store(found[:_READ_AT_ONCE], query.media)
        if len(found) > _READ_AT_ONCE:
            self._background.start(
                "read names", self._torrents.store(found[_READ_AT_ONCE:], query.media)
            )
        if found or query.title is not None:  # without a title it may not have been able to look
            await self._searches.mark(query.media, [(name, len(found))])

    def _rest(self, name: str, error: AppError) -> None:
        """Leave a source that failed alone for a while."""
        usual = _MISCONFIGURED_FOR if error.code == "source_misconfigured" else _FAILED_FOR
        span = max(error.retry_after or timedelta(0), usual)
        log.warning("source_failed", source=name, reason=error.message, rests=span.total_seconds())
        self._resting.put(name, error.message, span)


def _outcome(asked: Collected[str, Sequence[Found]], name: str) -> str:
    if name in asked.errors:
        return "late" if name in asked.late else "failed"
    return "found" if asked.results[name] else "nothing"


def _fit(torrent: KnownTorrent, media: MediaId, title: Title | None) -> Hit | None:
    coverage = covers(torrent.release, media, title)
    if coverage is None:
        return None
    fits = (
        torrent.by_id
        if title is None
        else matches_title(torrent.release, title, by_id=torrent.by_id)
    )
    if not fits:
        return None
    if coverage is Coverage.UNPROVEN and not (torrent.by_id or torrent.files or torrent.hint):
        return None
    return Hit(torrent, coverage)
