"""A simulated Cinemeta, with the habits that its answers have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tests.fakes.faults import json

Meta = dict[str, Any]

FILM: Meta = {
    "id": "tt1234567",
    "imdb_id": "tt1234567",
    "moviedb_id": 4242,
    "type": "movie",
    "name": "Example Film",
    "year": "2021",
    "releaseInfo": "2021",
    "released": "2021-03-14T00:00:00.000Z",
    "runtime": "1h 48min",
    "country": "United States",
    "genres": ["Drama", "Crime"],
    "poster": "https://images.example/poster/small/tt1234567/img",
}
SHOW: Meta = {
    "id": "tt7654321",
    "imdb_id": "tt7654321",
    "moviedb_id": 99,
    "tvdb_id": 777,
    "type": "series",
    "name": "Example Show",
    "year": "2020–2024",
    "releaseInfo": "2020–2024",
    "status": "Ended",
    "runtime": "48 min",
    "country": "United States",
    "genre": ["Drama"],
    "videos": [
        {"season": 0, "episode": 1, "released": "2020-01-01T00:00:00.000Z"},
        {"season": 1, "episode": 2, "released": "2020-03-21T01:00:00.000Z"},
        {"season": 1, "episode": 1, "released": "2020-03-14T01:00:00.000Z"},
        {"season": 2, "number": 1, "firstAired": "2021-03-14T01:00:00.000Z"},
    ],
}


@dataclass(slots=True)
class CinemetaSimulator:
    """The service.

    Attributes:
        metas: what it knows; one asked for under the wrong type is a 404.
        unknown_is_404: whether an unknown id is a 404, or an empty meta.
        redirects: how often it redirects before it answers.
        fault: makes the answer instead of what is asked.
    """

    metas: Mapping[str, Meta] = field(
        default_factory=lambda: {"tt1234567": FILM, "tt7654321": SHOW}
    )
    unknown_is_404: bool = False
    redirects: int = 0
    fault: Callable[[], Response] | None = None
    requests: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{hops:int}/meta/{kind}/{name}", self._answer),
                                 Route("/meta/{kind}/{name}", self._answer)])  # fmt: skip

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request.url.path)
        kind, name = request.path_params["kind"], request.path_params["name"]
        hops = request.path_params.get("hops", 0)
        if self.fault is not None:
            return self.fault()
        if hops < self.redirects:
            return RedirectResponse(f"/{hops + 1}/meta/{kind}/{name}", 307)
        if not name.endswith(".json") or kind not in {"movie", "series"}:
            return Response("Not Found", 404)
        meta = self.metas.get(name.removesuffix(".json"))
        if meta is None:
            return Response("Not Found", 404) if self.unknown_is_404 else json(b'{"meta":{}}')
        if meta.get("type", kind) != kind:
            return Response("Not Found", 404)
        return json(msgspec.json.encode({"meta": meta}))
