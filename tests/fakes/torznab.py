"""A simulated Torznab indexer that is as strict as the strictest real ones.

An episode search hides season packs, an id beside a text must match as well, `tt` before an IMDb
id is refused, and so is what the caps do not declare. Switches make it as lax as the laxest.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from addon.torrent import Magnet
from tests.fakes.faults import HOSTILE, xml

KEY = "torznab-key-0123456789"

_ALWAYS = {"t", "apikey", "cat", "limit", "offset", "extended"}
_NAMESPACES = {
    "torznab": "http://torznab.com/schemas/2015/feed",
    "newznab": "http://www.newznab.com/DTD/2010/feeds/attributes/",
}

HashIn = Literal["attr", "magneturl", "enclosure", "link", "guid", "redirect", "file"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A torrent that an indexer lists.

    `hash_in` says where its hash is to be found: in an attribute, in a magnet somewhere, or
    behind a link that redirects to a magnet (`redirect`) or serves a .torrent (`file`); `no_link`
    leaves out the link. A size that is a text is written as it stands.
    """

    name: str
    info_hash: str = ""
    size_bytes: int | str | None = 2_000_000_000
    seeders: int | None = 12
    hash_in: HashIn = "attr"
    kind: str | None = None
    imdb: str = "1234567"
    season: int | None = None
    episode: int | None = None
    category: int = 2000
    torrent: bytes = b""
    link: str = ""
    no_link: bool = False
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        return self.info_hash or hashlib.sha1(self.name.encode()).hexdigest()

    @property
    def magnet(self) -> str:
        return str(Magnet(self.hash, self.name, ("udp://tracker.example:1/announce",)))


@dataclass(frozen=True, slots=True)
class Caps:
    """What an indexer declares; a function without parameters is not available."""

    search: str = "q"
    tv_search: str = "q,season,ep,imdbid,tvdbid"
    movie_search: str = "q,imdbid,tmdbid"
    page_size: int = 100


@dataclass(slots=True)
class TorznabSimulator:
    """An indexer with its endpoint at `/api`.

    Attributes:
        fault: makes the answer instead of what is asked; `spared` requests still go well, and
            caps do so while `spares_caps`.
        ignores_offset, tells_total: habits of its paging.
        obeys: parameters that it takes though it declares them, or not; None: as declared.
        prefix: of the attributes' namespace.
        no_caps: what it answers instead of caps, if it knows none.
        redirects: how often it redirects before it answers, with `redirect_status`.
    """

    entries: Sequence[Entry] = ()
    caps: Caps = field(default_factory=Caps)
    fault: Callable[[], Response] | None = None
    spared: int = 0
    spares_caps: bool = False
    ignores_offset: bool = False
    tells_total: bool = True
    serves: int = 100
    obeys: Caps | None = None
    prefix: Literal["torznab", "newznab"] = "torznab"
    needs_key: bool = True
    no_caps: Response | None = None
    redirects: int = 0
    redirect_status: int = 307
    requests: list[dict[str, str]] = field(default_factory=list)
    downloads: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api", self._answer),
                Route("/{hops:int}/api", self._answer),
                Route("/login", _sign_in),
                Route("/dl/{number:int}", self._download),
            ]
        )

    def asked(self, function: str) -> list[dict[str, str]]:
        """Return the parameters of the requests for one function, in order."""
        return [request for request in self.requests if request["t"] == function]

    def searches(self) -> list[dict[str, str]]:
        """Return what was searched for: without paging, categories and the key."""
        passed_over = _ALWAYS - {"t"}
        return [
            {name: value for name, value in request.items() if name not in passed_over}
            for request in self.requests
            if request["t"] != "caps" and request["offset"] == "0"
        ]

    async def _answer(self, request: Request) -> Response:
        hops = request.path_params.get("hops", 0)
        if hops < self.redirects:
            onward = f"/{hops + 1}/api?{request.url.query}"
            return RedirectResponse(onward, self.redirect_status)
        asked = dict(request.query_params)
        self.requests.append(asked)
        if self.fault is not None and not (asked.get("t") == "caps" and self.spares_caps):
            if self.spared <= 0:
                return self.fault()
            self.spared -= 1
        if self.needs_key and asked.get("apikey") != KEY:
            return error(100, f"Incorrect user credentials: {asked.get('apikey')}")
        if asked.get("t") == "caps" and self.no_caps is not None:
            return self.no_caps
        if asked.get("t") == "caps":
            return xml(_caps(self.caps))
        return self._search(asked, str(request.base_url))

    def _search(self, asked: dict[str, str], base_url: str) -> Response:
        taken = self.obeys or self.caps
        functions = {
            "search": taken.search, "tvsearch": taken.tv_search, "movie": taken.movie_search
        }  # fmt: skip
        if asked.get("t") not in functions:
            return error(202, "No such function")
        declared = functions[asked["t"]]
        if not declared:
            return error(203, "Function not available")
        if not asked.keys() <= _ALWAYS | set(declared.split(",")):
            return error(201, "Incorrect parameter")
        if not asked.get("imdbid", "0").isdigit():
            return error(201, "Incorrect parameter: imdbid", 400)
        found = [entry for entry in self.entries if _matches(entry, asked)]
        offset = 0 if self.ignores_offset else int(asked.get("offset", "0"))
        page = found[offset : offset + min(int(asked.get("limit", "100")), self.serves)]
        total = len(found) if self.tells_total else None
        return xml(self._feed(page, offset, total, base_url))

    def _feed(self, page: Sequence[Entry], offset: int, total: int | None, base_url: str) -> str:
        spaces = " ".join(f'xmlns:{name}="{url}"' for name, url in _NAMESPACES.items())
        told = "" if total is None else f'<newznab:response offset="{offset}" total="{total}"/>'
        items = "".join(self._item(entry, base_url) for entry in page)
        return (
            f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" {spaces}><channel>'
            f"<title>Example Indexer</title>{told}{items}</channel></rss>"
        )

    def _item(self, entry: Entry, base_url: str) -> str:
        number = self.entries.index(entry)
        link = entry.link or f"{base_url}dl/{number}?apikey={KEY}"
        attributes = dict(entry.extra)
        if entry.seeders is not None:
            attributes["seeders"] = str(entry.seeders)
        if entry.hash_in == "attr":
            attributes["infohash"] = entry.hash
        if entry.hash_in == "magneturl":
            attributes["magneturl"] = entry.magnet
        guid = entry.magnet if entry.hash_in == "guid" else f"https://site.example/t/{number}"
        link = entry.magnet if entry.hash_in == "link" else link
        link = "" if entry.no_link else link
        enclosed = entry.magnet if entry.hash_in == "enclosure" else link
        length = entry.size_bytes if isinstance(entry.size_bytes, int) else 0
        size = "" if entry.size_bytes is None else f"<size>{entry.size_bytes}</size>"
        kind = "" if entry.kind is None else f"<type>{entry.kind}</type>"
        told = "".join(
            f"<{self.prefix}:attr name={quoteattr(name)} value={quoteattr(value)}/>"
            for name, value in attributes.items()
        )
        return (
            f"<item><title>{escape(entry.name)}</title><guid>{escape(guid)}</guid>{size}{kind}"
            f"<link>{escape(link)}</link><category>{entry.category}</category>"
            f'<enclosure url={quoteattr(enclosed)} length="{length}"'
            f' type="application/x-bittorrent"/>{told}</item>'
        )

    async def _download(self, request: Request) -> Response:
        self.downloads.append(request.url.path)
        entry = self.entries[request.path_params["number"]]
        if entry.hash_in == "redirect":
            return RedirectResponse(entry.magnet, 301)
        if entry.hash_in == "file":
            return Response(entry.torrent, media_type="application/x-bittorrent")
        return Response("No such download", 404)


async def _sign_in(_: Request) -> Response:
    return HOSTILE["login page"]()


def error(
    code: int, description: str = "", status: int = 200, *, attribute: str = "code"
) -> Response:
    """Answer with an error as Torznab writes it."""
    return xml(
        f'<?xml version="1.0"?><error {attribute}="{code}" description={quoteattr(description)}/>',
        status,
    )


def _caps(caps: Caps) -> str:
    functions = {
        "search": caps.search, "tv-search": caps.tv_search, "movie-search": caps.movie_search
    }  # fmt: skip
    elements = "".join(
        f'<{tag} available="{"Yes" if names else "no"}" supportedParams="{names}"/>'
        for tag, names in functions.items()
    )
    return (
        f'<?xml version="1.0"?><caps><server title="Example Indexer"/>'
        f'<limits default="{caps.page_size}" max="{caps.page_size}"/>'
        f"<searching>{elements}</searching>"
        f'<categories><category id="2000" name="Movies"/></categories></caps>'
    )


def _matches(entry: Entry, asked: dict[str, str]) -> bool:
    thousands = {category[0] for category in asked.get("cat", "").split(",") if category}
    words = set(re.findall(r"\w+", entry.name.lower().replace(".", " ")))
    return (
        (not thousands or str(entry.category)[0] in thousands)
        and set(asked.get("q", "").lower().split()) <= words
        and asked.get("imdbid", entry.imdb) == entry.imdb
        and ("season" not in asked or asked["season"] == str(entry.season))
        and ("ep" not in asked or asked["ep"] == str(entry.episode))
    )
