"""The server behind a source: asked through its redirects, its refusals told apart."""

from dataclasses import dataclass, field
from datetime import timedelta

from yarl import URL

from infra.clock import Clock, Deadline
from infra.errors import ReplyInvalid, UpstreamError, UpstreamUnavailable
from infra.http_client import MAX_BODY_BYTES, HttpClient, Reply

_WAIT_UNLESS_TOLD = timedelta(seconds=60)
# A redirect that is still one in the end names no place to go to.
_WRONG_URL_OR_KEY = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 410})
_PAGE_STARTS = (b"<!doctype html", b"<html")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that is asked by GET.

    Attributes:
        name: of the source; errors hold it, and nothing else that tells where the server is.
        own: hosts and ports that may be private, because the operator configured them.
    """

    name: str
    http: HttpClient
    clock: Clock
    own: frozenset[tuple[str, int]] = field(repr=False)

    async def get(self, url: str, deadline: Deadline, *, max_bytes: int = MAX_BODY_BYTES) -> Reply:
        """Return what the server answers in the end, whatever the status.

        Raises:
            UpstreamError: it could not be reached, or sent us where we do not go.
        """
        answer = await self.http.fetch_foreign(
            url, deadline=deadline, allowed=self.own, max_bytes=max_bytes
        )
        return answer.reply

    def refusal(self, reply: Reply) -> UpstreamError | None:
        """Return the error that the HTTP status alone makes; None where it is a good one."""
        if reply.status == 200:
            return None
        message = f"{self.name}: status {reply.status}"
        if reply.status == 429:
            return self.limited(message, reply)
        if reply.status in _WRONG_URL_OR_KEY:
            return UpstreamUnavailable(message, code="source_misconfigured")
        return UpstreamUnavailable(message, retry_after=reply.retry_after(self.clock))

    def limited(self, message: str, reply: Reply) -> UpstreamError:
        """Return the error of a server that asks for patience."""
        wait = reply.retry_after(self.clock) or _WAIT_UNLESS_TOLD
        return UpstreamUnavailable(message, code="rate_limited", retry_after=wait)

    def unreadable(self, reply: Reply) -> ReplyInvalid:
        """Return the error of a body that cannot be read; a page for people means a wrong URL."""
        kind = reply.headers.get("Content-Type", "").lower()
        start = reply.body[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if "html" in kind or start.startswith(_PAGE_STARTS):
            return ReplyInvalid(f"{self.name}: answered a page", code="source_misconfigured")
        return ReplyInvalid(f"{self.name}: unexpected body")


def own_hosts(url: str) -> frozenset[tuple[str, int]]:
    """Return where a configured URL may lead: its host at its port, and by https."""
    own = URL(url)
    host = own.raw_host or ""
    return frozenset({(host, own.port or 0), (host, 443)})
