"""A simulated Stremio addon that lists torrents, behind a config in its path."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.faults import HOSTILE, json

CONFIG = "providers=one,two|debridkey=upstream-secret-0123456789"

Stream = dict[str, Any]


@dataclass(slots=True)
class UpstreamAddonSimulator:
    """An addon whose streams are given by media id; any other id has none, any other path is 404.

    It takes the colons of an id as they are or percent-encoded, as real ones do.

    Attributes:
        fault: makes the answer instead of the streams.
        schemes: beginnings of ids that it serves; the others are 404, too.
        redirects: how often it redirects before it answers, with `redirect_status`.
        requests: the raw paths, as they came in.
    """

    streams: Mapping[str, Sequence[object]] = field(default_factory=dict)
    fault: Callable[[], Response] | None = None
    schemes: tuple[str, ...] = ("tt", "kitsu:")
    redirects: int = 0
    redirect_status: int = 307
    requests: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/login", _sign_in),
                Route("/hop/{hops:int}/{rest:path}", self._answer),
                Route("/{rest:path}", self._answer),
            ]
        )

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request.scope["raw_path"].decode())
        if self.fault is not None:
            return self.fault()
        hops, path = request.path_params.get("hops", 0), request.path_params["rest"]
        if hops < self.redirects:
            return RedirectResponse(f"/hop/{hops + 1}/{quote(path)}", self.redirect_status)
        config, _, resource = path.partition("/")
        kind, _, rest = resource.removeprefix("stream/").partition("/")
        media = rest.removesuffix(".json")
        is_known = config == CONFIG and kind in {"movie", "series"} and rest.endswith(".json")
        if not media.startswith(self.schemes):
            return Response("Not Found", 404)
        if not is_known or (kind == "series") != (media.count(":") == 2):
            return Response("Not Found", 404)
        streams = self.streams.get(media)
        return json(msgspec.json.encode({"streams": streams, "cacheMaxAge": 3600}))


async def _sign_in(_: Request) -> Response:
    return HOSTILE["login page"]()


def torrentio(
    info_hash: str, torrent: str, *, file: str = "", size: str = "1.5 GB", **more: Any
) -> Stream:
    """Return a stream in Torrentio's form; a pack has a line for the file."""
    lines = [torrent, *([file] if file else []), f"👤 89 💾 {size} ⚙️ ExampleSite", "🇬🇧 / 🇮🇹"]
    return {
        "name": "Torrentio\n1080p",
        "title": "\n".join(lines),
        "infoHash": info_hash,
        "fileIdx": 0,
        "behaviorHints": {"bingeGroup": "torrentio|1080p", "filename": file or f"{torrent}.mkv"},
        "sources": ["tracker:udp://tracker.example:1/announce", f"dht:{info_hash}"],
    } | more


def comet(info_hash: str, name: str, size_bytes: int, **more: Any) -> Stream:
    """Return a stream in Comet's form."""
    lines = [f"📄 {name}", "📹 h264|🔊 AAC", "⭐ WEB-DL|🏷️ GRP", "👤 7 💾 2.0 GB 🔎 OtherSite", "🇬🇧"]
    return {
        "name": "[TORRENT] Comet 1080p",
        "description": "\n".join(lines),
        "infoHash": info_hash,
        "fileIdx": 3,
        "behaviorHints": {
            "bingeGroup": f"comet|torrent|{info_hash}",
            "videoSize": size_bytes,
            "filename": f"{name}.mkv",
        },
    } | more


def mediafusion(info_hash: str, torrent: str, file: str, sizes: str, **more: Any) -> Stream:
    """Return a stream in MediaFusion's form, which hides its hash in a playback URL."""
    lines = [f"📂 {torrent} ┈➤ {file}", f"💾 {sizes}", "👤 31", "🌐 English", "🔗 ThirdSite"]
    return {
        "name": "MediaFusion 1080p",
        "description": "\n".join(lines),
        "url": f"https://fusion.example/streaming_provider/D-abc/playback/{info_hash}/2/5",
        "behaviorHints": {"filename": file},
    } | more
