"""What a metadata service must offer."""

from typing import Protocol

from addon.media import MediaId, Title
from infra.clock import Deadline


class Metadata(Protocol):
    """A metadata service."""

    @property
    def name(self) -> str:
        """As in logs."""

    async def title(self, media: MediaId, deadline: Deadline) -> Title | None:
        """Return the title that the id belongs to; None when the service does not know it.

        Raises:
            UpstreamError: the service failed; the title may well exist.
        """
