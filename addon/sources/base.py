"""What every source of torrents must offer."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from addon.media import MediaId, Title
from addon.torrent import Found
from infra.clock import Deadline


class Query(msgspec.Struct, frozen=True):
    """What to look for. `title` is None when no metadata service knew it: search by id alone."""

    media: MediaId
    title: Title | None


class Source(Protocol):
    """A live source of torrents, asked at most once per title and `ttl`."""

    @property
    def name(self) -> str:
        """A short label, unique among the sources of this server; it holds no secret."""

    @property
    def ttl(self) -> timedelta:
        """How long an answer stays good; an empty one is asked again sooner."""

    async def search(self, query: Query, deadline: Deadline) -> Sequence[Found]:
        """Return the torrents for a film or an episode (season packs included), each hash once.

        Season packs and releases that turn out to be of another title are sorted out by the
        caller, so a source returns what the service matched.

        Raises:
            UpstreamError: the service failed or refused; `retry_after` says for how long.
        """
