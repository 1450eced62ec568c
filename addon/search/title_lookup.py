"""The title behind an id: from memory, from the database, or from a metadata service."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from addon.index.titles import StoredTitle, Titles
from addon.media import MediaId, Title
from addon.metadata.base import Metadata
from infra.cache import SingleFlight, TtlCache
from infra.clock import Clock, Deadline
from infra.errors import AppError
from infra.log import get_logger

log = get_logger()

_IN_MEMORY = timedelta(minutes=10)
_ENDED = timedelta(hours=24)
_RUNNING = timedelta(hours=6)
_JUST_AIRED = timedelta(hours=1)
_RECENT = timedelta(days=3)

_Asked = tuple[str, bool]


class TitleLookup:
    """Finds titles; a service that fails leaves the last good answer in force."""

    def __init__(self, stored: Titles, services: Sequence[Metadata], clock: Clock) -> None:
        self._stored = stored
        self._services = services
        self._clock = clock
        self._memory: TtlCache[_Asked, tuple[Title | None]] = TtlCache(
            clock, ttl=_IN_MEMORY, size=5_000
        )
        self._asking: SingleFlight[_Asked, Title | None] = SingleFlight()

    async def get(self, media: MediaId, deadline: Deadline) -> Title | None:
        """Return the title; None when nobody knows it, or nobody can say so in time."""
        asked = _asked(media)
        known = self._memory.get(asked)
        if known is not None:
            return known[0]
        return await self._asking.do(asked, lambda: self._find(media, deadline))

    async def _find(self, media: MediaId, deadline: Deadline) -> Title | None:
        stored = await self._stored.get(media.title_id)
        if stored is not None and self._is_fresh(stored, media):
            title: Title | None = stored.title
        else:
            asked, title = await self._ask(media, deadline)
            if title is not None:
                await self._stored.put(title, self._clock.now())
            elif stored is not None:
                title = stored.title
            elif not asked:
                return None  # not remembered: the next request may have more luck
        self._memory.put(_asked(media), (title,))
        return title

    async def _ask(self, media: MediaId, deadline: Deadline) -> tuple[bool, Title | None]:
        """Ask the services in turn; return whether each could be asked, and the title."""
        answered = True
        for service in self._services:
            try:
                title = await service.title(media, deadline)
            except AppError as error:
                log.warning("metadata_failed", service=service.name, reason=error.message)
                answered = False
            else:
                if title is not None:
                    # Under the id that was asked for, whatever the service calls it.
                    return answered, msgspec.structs.replace(title, id=media.title_id)
        return answered, None

    def _is_fresh(self, stored: StoredTitle, media: MediaId) -> bool:
        if stored.is_seeded:
            return True
        now = self._clock.now()
        if media.season is not None and media.episode is not None:
            known = stored.title.episode(media.season, media.episode)
            if known is None:  # a new episode may be the very reason to ask again
                return stored.fetched_at + _JUST_AIRED > now
        return stored.fetched_at + _good_for(stored.title, now) > now


def _asked(media: MediaId) -> _Asked:
    """Return what an answer is remembered by.

    Services look among films or among series: who asks for a film by the id of a series must not
    make the series unknown.
    """
    return media.title_id, media.is_episode


def _good_for(title: Title, now: datetime) -> timedelta:
    recent = any(
        episode.aired_on and abs(now.date() - episode.aired_on) <= _RECENT
        for episode in title.episodes
    )
    if recent:
        return _JUST_AIRED
    return _ENDED if title.is_ended or title.kind == "movie" else _RUNNING
