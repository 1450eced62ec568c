"""Follows download links that hide an info hash: to a magnet, or to the body of a .torrent."""

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from datetime import timedelta

from cachetools import TTLCache

from addon.torrent import read_magnet
from addon.torrent_file import Metainfo, read_torrent_file
from infra.clock import Clock, Deadline
from infra.errors import UpstreamUnavailable
from infra.http_client import HttpClient
from infra.tasks import collect

_MAX_BYTES = 10 * 1024 * 1024
_MAX_LINKS = 20
_AT_ONCE = 5
_SECONDS_EACH = 5.0
_FILES_KEPT = 40_000  # of all remembered torrents together, since one alone may have 20,000
_KEPT_FOR = timedelta(hours=6)
_IN_THREAD_BYTES = 256 * 1024

_Known = MutableMapping[str, Metainfo | None]


@dataclass(frozen=True, slots=True)
class TorrentLinks:
    """Resolves links under a budget, and remembers for hours what they led to.

    Links often carry a credential, so they appear in no error and no log.
    """

    _http: HttpClient
    _allowed: frozenset[tuple[str, int]]
    _known: _Known = field(repr=False)

    @classmethod
    def create(
        cls, http: HttpClient, clock: Clock, own: frozenset[tuple[str, int]]
    ) -> "TorrentLinks":
        """Make a resolver with an empty memory.

        Links to the hosts and ports of `own` may lead to a private address, others may not.
        """
        memory = TTLCache[str, Metainfo | None](
            _FILES_KEPT, _KEPT_FOR.total_seconds(), timer=clock.monotonic, getsizeof=_weight
        )
        return cls(http, own, memory)

    async def resolve(self, links: Iterable[str], deadline: Deadline) -> dict[str, Metainfo]:
        """Return what the links lead to; one that fails or leads nowhere is left out.

        Known ones are free; of the others the first 20 are followed, each once.
        """
        wanted = list(dict.fromkeys(links))
        unknown = [link for link in wanted if link not in self._known][:_MAX_LINKS]
        slots = asyncio.Semaphore(_AT_ONCE)
        # A link that fails is not remembered: it may work next time.
        jobs = {number: self._fetch(link, slots, deadline) for number, link in enumerate(unknown)}
        for number, torrent in (await collect(jobs, deadline)).results.items():
            self._known[unknown[number]] = torrent
        found = ((link, self._known.get(link)) for link in wanted)
        return {link: torrent for link, torrent in found if torrent is not None}

    async def _fetch(
        self, link: str, slots: asyncio.Semaphore, deadline: Deadline
    ) -> Metainfo | None:
        """Return the torrent behind a link; None when something else is there."""
        async with slots:
            answer = await self._http.fetch_foreign(
                link,
                deadline=deadline.within(_SECONDS_EACH),
                allowed=self._allowed,
                stop_at="magnet:",
                max_bytes=_MAX_BYTES,
            )
        if answer.location is not None:
            magnet = read_magnet(answer.location)
            if magnet is None:
                return None
            return Metainfo(
                info_hash=magnet.info_hash, name=magnet.name or "", trackers=magnet.trackers
            )
        if answer.reply.status != 200:
            raise UpstreamUnavailable(f"a download link answered {answer.reply.status}")
        return await _read(answer.reply.body)


def _weight(torrent: Metainfo | None) -> int:
    return 1 if torrent is None else 1 + len(torrent.files)


async def _read(body: bytes) -> Metainfo | None:
    if len(body) > _IN_THREAD_BYTES:
        return await asyncio.to_thread(read_torrent_file, body)
    return read_torrent_file(body)
