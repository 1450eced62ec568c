"""Torznab: the query interface of Jackett, Prowlarr, Bitmagnet and most other indexers.

Newznab's API with torrent attributes: one GET endpoint that answers in XML. Servers differ in what
they declare, require and leave out; what is read here is the union (checked 2026-11).
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from urllib.parse import urlencode
from xml.etree.ElementTree import Element

import msgspec
from cachetools import TLRUCache

from addon.media import Title
from addon.sources.base import Query
from addon.sources.endpoint import Endpoint, own_hosts
from addon.torrent import Found, read_info_hash, read_magnet
from addon.torrent_file import Metainfo
from addon.torrent_link import TorrentLinks
from infra import lenient
from infra.clock import Clock, Deadline
from infra.errors import ReplyInvalid, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from infra.http_client import HttpClient, Reply
from infra.log import get_logger
from infra.secret import Secret
from infra.tasks import collect
from infra.xml import parse_xml

log = get_logger()

_CAPS_KEPT = timedelta(hours=12)
_ASSUMED_KEPT = timedelta(hours=1)
_SHARE_OF_TIME = 0.95
_PAGES = 3
_PAGE_SIZE = 100
_NAMES_ASKED = 2

_MAX_ITEMS = 1_000
_MAX_TEXT = 300
_MAX_LINK = 8_192

# Codes of `<error>`; some servers repeat the HTTP status there.
_REFUSES_KEY = frozenset({100, 101, 102, 401, 403})
_IS_OFF = frozenset({410, 910})
_REFUSES_QUERY = frozenset({201, 202, 203})
_REFUSES_FOR_NOW = frozenset({429, 500, 501})
# These would be the same for any question; other statuses may mean that it knows no caps.
_NOT_ABOUT_CAPS = frozenset({401, 403, 429, 502, 503, 504})

_FUNCTIONS = {"search": "search", "tv-search": "tvsearch", "movie-search": "movie"}

_APOSTROPHES = re.compile(r"['’`]")
_PUNCTUATION = re.compile(r"[\W_]+")


class Torznab:
    """An indexer behind a Torznab endpoint.

    Args:
        http: for all calls.
        clock: ages what is remembered.
        name: label of this source.
        url: the endpoint, up to the `?`.
        api_key: sent as `apikey`; may be empty for an open indexer.
        is_trusted: False for one that a user brought: it is then reached through the guard.
    """

    ttl = timedelta(hours=6)

    def __init__(
        self,
        http: HttpClient,
        clock: Clock,
        name: str,
        url: str,
        api_key: Secret,
        is_trusted: bool = True,
    ) -> None:
        self.name = name
        self._url = url
        self._api_key = api_key
        own = own_hosts(url) if is_trusted else frozenset[tuple[str, int]]()
        self._endpoint = Endpoint(name, http, clock, own)
        self._links = TorrentLinks.create(http, clock, own)
        self._caps_lock = asyncio.Lock()
        self._caps_known = TLRUCache[str, _Caps](1, _caps_end_at, timer=clock.monotonic)
        self._has_told = False

    async def search(self, query: Query, deadline: Deadline) -> Sequence[Found]:
        """Return what the indexer has; see `Source.search`.

        Raises:
            UpstreamError: with code `source_misconfigured` where only the operator can mend it,
                `rate_limited` with `retry_after` where it asks for patience.
        """
        # The rest is for handing over what one page found while another hangs.
        deadline = deadline.within(deadline.left * _SHARE_OF_TIME)
        items = await self._items(query, deadline)
        hidden = [item for item in items if item.info_hash is None and _may_match(item, query)]
        hidden.sort(key=lambda item: -(item.seeders or 0))
        torrents = await self._links.resolve((item.link for item in hidden), deadline)
        return _merged(items, torrents)

    async def _items(self, query: Query, deadline: Deadline) -> list["_Item"]:
        """Ask as declared; by text, too, where that was refused or the id is not known."""
        caps = await self._caps(deadline)
        asked = _questions(caps, query)
        try:
            items = await self._ask_all(asked, caps.page_size, deadline)
        except UpstreamError as error:
            is_outdated = isinstance(error, _QueryRefused)
            if caps.is_assumed or is_outdated:
                self._caps_known.clear()
            if caps.is_assumed or not is_outdated:
                raise
            return await self._ask_anew(query, error, deadline)
        return items or await self._ask_besides(caps, query, asked, deadline)

    async def _ask_anew(
        self, query: Query, error: UpstreamError, deadline: Deadline
    ) -> list["_Item"]:
        """Ask by text, as new caps allow; the error goes on where they do not."""
        caps = await self._caps(deadline)
        by_text = _text_questions(caps, query)
        if not by_text:
            raise error
        return await self._ask_all(by_text, caps.page_size, deadline)

    async def _ask_besides(
        self, caps: "_Caps", query: Query, asked: Sequence["_Question"], deadline: Deadline
    ) -> list["_Item"]:
        """Ask by text for what has no ids; the search by id stands, should this be too much."""
        others = [each for each in _text_questions(caps, query) if each not in asked]
        try:
            return await self._ask_all(others, caps.page_size, deadline)
        except (UpstreamTimeout, _QueryRefused):
            return []

    async def _caps(self, deadline: Deadline) -> "_Caps":
        """Return what the indexer declares; one caller asks while the others wait."""
        try:
            async with asyncio.timeout(deadline.left), self._caps_lock:
                caps = self._caps_known.get("caps")
                if caps is None:
                    caps = await self._ask_caps(deadline)
                    self._caps_known["caps"] = caps
                return caps
        except TimeoutError:
            raise UpstreamTimeout(f"{self.name}: no caps in time") from None

    async def _ask_caps(self, deadline: Deadline) -> "_Caps":
        """Ask what the indexer declares; one that says nothing of use is taken to know text."""
        reply = await self._fetch({"t": "caps"}, deadline)
        try:
            return _read_caps(await self._read(reply))
        except UpstreamError as error:
            is_refusal = isinstance(error, _KeyRefused) or error.code == "rate_limited"
            if is_refusal or reply.status in _NOT_ABOUT_CAPS:
                raise
            if not self._has_told:
                log.info("indexer_asked_by_text", source=self.name, reason=error.message)
                self._has_told = True
            return _BY_TEXT

    async def _ask_all(
        self, questions: Sequence["_Question"], limit: int, deadline: Deadline
    ) -> list["_Item"]:
        """Ask everything at once; an error counts only where nothing at all was found."""
        found: list[list[_Item]] = [[] for _ in questions]
        jobs = {
            number: self._ask(question, limit, found[number], deadline)
            for number, question in enumerate(questions)
        }
        collected = await collect(jobs, deadline)
        items = [item for page in found for item in page]
        if not items:
            for error in collected.errors.values():
                raise error
            if collected.late:
                raise UpstreamTimeout(f"{self.name}: no answer in time")
        return items

    async def _ask(
        self, question: "_Question", limit: int, found: list["_Item"], deadline: Deadline
    ) -> None:
        """Read the pages of one question into `found`, where they stay when a later one fails."""
        seen: set[str] = set()
        offset = 0
        for _ in range(_PAGES):
            paging = {"extended": "1", "limit": str(limit), "offset": str(offset)}
            root = await self._read(await self._fetch(question.parameters | paging, deadline))
            page = _read_page(root, question.by_id, self.name)
            # An indexer that ignores `offset` sends the same page again.
            if not page.keys or {page.keys[0], page.keys[-1]} <= seen:
                return
            seen.update(page.keys)
            found += page.items
            offset += len(page.keys)
            if _is_last(page, offset, limit):
                return

    async def _fetch(self, parameters: dict[str, str], deadline: Deadline) -> Reply:
        key = {"apikey": self._api_key.reveal()} if self._api_key else {}
        return await self._endpoint.get(f"{self._url}?{urlencode(parameters | key)}", deadline)

    async def _read(self, reply: Reply) -> Element:
        """Return the root of an answer, its errors raised; no message quotes the answer."""
        refusal = self._endpoint.refusal(reply)
        try:
            root = await parse_xml(reply.body)
        except ReplyInvalid:
            raise (refusal or self._endpoint.unreadable(reply)) from None
        if root.tag == "error":
            # Bitmagnet writes the code into an attribute `error`.
            code = lenient.whole(root.get("code") or root.get("error"))
            raise self._error(code or 900, reply)
        if refusal is not None:
            raise refusal
        if root.tag not in {"rss", "caps"}:
            raise self._endpoint.unreadable(reply)
        return root

    def _error(self, code: int, reply: Reply) -> UpstreamError:
        """Return the error that fits a Torznab code; where it says little, the status counts."""
        message = f"{self.name}: error {code}, status {reply.status}"
        if code in _REFUSES_KEY:
            return _KeyRefused(message)
        if code in _IS_OFF:
            return UpstreamUnavailable(message, code="source_misconfigured")
        if code in _REFUSES_QUERY:
            return _QueryRefused(message)
        if code in _REFUSES_FOR_NOW and reply.status < 500:
            return self._endpoint.limited(message, reply)
        return self._endpoint.refusal(reply) or UpstreamUnavailable(message)


class _KeyRefused(UpstreamUnavailable):
    """The indexer knows what we want, and that we may not have it."""

    code = "source_misconfigured"


class _QueryRefused(UpstreamError):
    """The indexer does not take what its caps, as we remember them, declared."""

    code = "query_refused"


# --- what to ask


class _Caps(msgspec.Struct, frozen=True):
    """What an indexer can be asked: parameters by the function's name in `t`."""

    functions: dict[str, frozenset[str]]
    page_size: int
    is_assumed: bool = False


_BY_TEXT = _Caps({"search": frozenset({"q"})}, _PAGE_SIZE, is_assumed=True)


class _Question(msgspec.Struct, frozen=True):
    parameters: dict[str, str]
    by_id: bool


def _caps_end_at(_: str, caps: _Caps, now: float) -> float:
    kept = _ASSUMED_KEPT if caps.is_assumed else _CAPS_KEPT
    return now + kept.total_seconds()


def _read_caps(root: Element) -> _Caps:
    functions = {
        function: _declared(element)
        for tag, function in _FUNCTIONS.items()
        if (element := root.find(f"searching/{tag}")) is not None
        and element.get("available", "").strip().lower() == "yes"
    }
    if not functions:
        raise ReplyInvalid("caps without a search")
    limits = root.find("limits")
    most = None if limits is None else lenient.whole(limits.get("max"))
    return _Caps(functions, min(most or _PAGE_SIZE, _PAGE_SIZE))


def _declared(function: Element) -> frozenset[str]:
    names = function.get("supportedParams", "q").lower().split(",")
    return frozenset(name.strip() for name in names)


def _questions(caps: _Caps, query: Query) -> list[_Question]:
    """Ask by an id where one is declared, otherwise by text."""
    by_id = _id_questions(caps, query)
    if not by_id:
        return _text_questions(caps, query)
    # Anime is often released under its absolute number, which indexers do not know by id.
    absolute = _absolute_texts(query)[:1] if "search" in caps.functions else []
    return by_id + [_text_question(caps, query, text) for text in absolute]


def _id_questions(caps: _Caps, query: Query) -> list[_Question]:
    media = query.media
    declared = caps.functions.get(_function(query), frozenset[str]())
    ids = [(name, value) for name, value in _ids(query) if name in declared]
    if not ids or (media.is_episode and media.season is None):
        return []
    # With `q` beside an id some servers want both to match.
    asked = {"t": _function(query), "cat": _categories(query), ids[0][0]: ids[0][1]}
    if not media.is_episode or "season" not in declared:
        return [_Question(asked, by_id=True)]
    of_season = asked | {"season": str(media.season)}
    if "ep" not in declared:
        return [_Question(of_season, by_id=True)]
    # Many indexers take `ep` so strictly that they hide season packs.
    of_episode = of_season | {"ep": str(media.episode)}
    return [_Question(of_episode, by_id=True), _Question(of_season, by_id=True)]


def _ids(query: Query) -> list[tuple[str, str]]:
    """Return the ids of the title by parameter, best first; IMDb's as digits, as some insist."""
    media, title = query.media, query.title
    tvdb = title.tvdb_id if title and media.is_episode else None
    imdb = media.key if media.scheme == "tt" else title and title.imdb_id
    tmdb = media.key if media.scheme == "tmdb" else title and title.tmdb_id
    ids = {"tvdbid": tvdb, "imdbid": imdb, "tmdbid": tmdb}
    return [(name, str(value).removeprefix("tt")) for name, value in ids.items() if value]


def _text_questions(caps: _Caps, query: Query) -> list[_Question]:
    typed = caps.functions.get(_function(query), frozenset[str]())
    if "search" not in caps.functions and "q" not in typed:
        return []
    texts = [*_texts(query), *_absolute_texts(query)]
    return [_text_question(caps, query, text) for text in dict.fromkeys(texts)]


def _text_question(caps: _Caps, query: Query, text: str) -> _Question:
    function = "search" if "search" in caps.functions else _function(query)
    return _Question({"t": function, "cat": _categories(query), "q": text}, by_id=False)


def _function(query: Query) -> str:
    return "tvsearch" if query.media.is_episode else "movie"


def _texts(query: Query) -> list[str]:
    media, texts = query.media, list[str]()
    for name in _names(query.title):
        if not media.is_episode:
            year = query.title.year if query.title else None
            texts.append(f"{name} {year}" if year else name)
        elif media.season is not None:
            season = f"{name} S{media.season:02d}"
            texts += [f"{season}E{media.episode:02d}", season]
        else:
            texts += [f"{name} {media.episode:02d}", name]
    return texts


def _absolute_texts(query: Query) -> list[str]:
    media, title = query.media, query.title
    if title is None or not title.is_anime or media.season is None or media.episode is None:
        return []
    number = title.absolute_number(media.season, media.episode)
    return [] if number is None else [f"{name} {number:02d}" for name in _names(title)]


def _names(title: Title | None) -> list[str]:
    """Return the first names of a title without punctuation, which search engines trip over."""
    if title is None:
        return []
    plain = (_plain(name) for name in (title.name, *title.aliases))
    return [name for name in dict.fromkeys(plain) if name][:_NAMES_ASKED]


def _plain(text: str) -> str:
    return _PUNCTUATION.sub(" ", _APOSTROPHES.sub("", text)).strip()


def _categories(query: Query) -> str:
    """Return the categories to look in: only the thousands mean the same everywhere."""
    media, title = query.media, query.title
    is_anime = media.scheme in {"kitsu", "mal", "anidb"} or (title is not None and title.is_anime)
    return ("5000" if media.is_episode else "2000") + (",5070" if is_anime else "")


# --- what comes back


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a feed; `link` leads to the hash where `info_hash` is None."""

    name: str
    info_hash: str | None
    link: str
    size_bytes: int | None
    seeders: int | None
    tracker: str
    private: bool
    by_id: bool
    trackers: tuple[str, ...]


class _Page(msgspec.Struct, frozen=True):
    """One page; `keys` tell its entries apart, those among them that are no use included."""

    items: list[_Item]
    keys: list[str]
    total: int | None


def _is_last(page: _Page, offset: int, limit: int) -> bool:
    if page.total is not None and page.total >= offset:
        return page.total == offset
    return len(page.keys) < limit


def _read_page(root: Element, by_id: bool, label: str) -> _Page:
    if root.tag != "rss":
        raise ReplyInvalid(f"{label}: not a Torznab feed")
    entries = list(islice(root.iter("item"), _MAX_ITEMS))
    items = [_read_item(entry, by_id, label) for entry in entries]
    response = root.find("channel/response")
    return _Page(
        [item for item in items if item is not None],
        [
            _text(entry, "guid") or _text(entry, "link") or _text(entry, "title")
            for entry in entries
        ],
        None if response is None else lenient.whole(response.get("total")),
    )


def _read_item(entry: Element, by_id: bool, label: str) -> _Item | None:
    """Read one entry; None where no torrent can be reached: some fill a feed with placeholders."""
    named = {attr.get("name", "").lower(): attr.get("value", "") for attr in entry.iter("attr")}
    enclosure = entry.find("enclosure")
    url, length = ("", "") if enclosure is None else (enclosure.get("url"), enclosure.get("length"))
    links = [named.get("magneturl", ""), url or "", _text(entry, "link"), _text(entry, "guid")]
    magnet = next(filter(None, map(read_magnet, links)), None)
    sizes = map(lenient.byte_size, (named.get("size"), _text(entry, "size"), length))
    info_hash = read_info_hash(named.get("infohash", "")) or (magnet.info_hash if magnet else None)
    link = next(filter(_is_web_link, links[1:3]), "")
    name = _text(entry, "title")[:_MAX_TEXT]
    if name in {"", "Invalid Magnet"} or not (info_hash or link):
        return None
    return _Item(
        name=name,
        info_hash=info_hash,
        link=link,
        size_bytes=next(filter(None, sizes), None),
        seeders=lenient.whole(named.get("seeders"), 2**31 - 1),
        tracker=_tracker(entry)[:_MAX_TEXT] or label,
        private=_is_private(entry, named),
        by_id=by_id,
        trackers=magnet.trackers if magnet else (),
    )


def _tracker(entry: Element) -> str:
    return _text(entry, "jackettindexer") or _text(entry, "prowlarrindexer")


def _is_private(entry: Element, named: dict[str, str]) -> bool:
    """Tell whether a torrent must stay with its owner; semi-private ones must, too."""
    prowlarr = entry.find("prowlarrindexer")
    kind = _text(entry, "type") or ("" if prowlarr is None else prowlarr.get("type", ""))
    if kind.lower() == "public" or "private" in kind.lower():
        return kind.lower() != "public"
    # Where nothing is said, only trackers that count ratios ask for one.
    return any(named.get(rule, "").strip("0. ") for rule in ("minimumratio", "minimumseedtime"))


def _may_match(item: _Item, query: Query) -> bool:
    """Tell whether a link is worth following: found by id, or a word of a name is in the title."""
    if item.by_id or query.title is None:
        return True
    words = set(_plain(item.name).lower().split())
    names = (query.title.name, *query.title.aliases)
    return any(not words.isdisjoint(_plain(name).lower().split()) for name in names)


def _merged(items: Sequence[_Item], torrents: dict[str, Metainfo]) -> list[Found]:
    """Return each torrent once: the first entry counts, later ones fill its gaps.

    What was found by an id comes before what was found by text, so that `by_id` is right.
    """
    merged: dict[str, Found] = {}
    for item in items:
        found = _found(item, torrents.get(item.link))
        if found is None:
            continue
        known = merged.get(found.info_hash)
        merged[found.info_hash] = found if known is None else _filled(known, found)
    return list(merged.values())


def _found(item: _Item, torrent: Metainfo | None) -> Found | None:
    info_hash = item.info_hash or (torrent and torrent.info_hash)
    if not info_hash:
        return None
    files = torrent.files if torrent else ()
    private = item.private or (torrent is not None and torrent.private)
    return Found(
        info_hash=info_hash,
        name=item.name,
        size_bytes=item.size_bytes,
        file=files[0] if len(files) == 1 else None,
        seeders=item.seeders,
        tracker=item.tracker,
        private=private,
        by_id=item.by_id,
        # An announce URL of a private tracker holds its owner's passkey.
        trackers=() if private else item.trackers or (torrent.trackers if torrent else ()),
    )


def _filled(known: Found, other: Found) -> Found:
    private = known.private or other.private
    return msgspec.structs.replace(
        known,
        size_bytes=known.size_bytes or other.size_bytes,
        file=known.file or other.file,
        seeders=other.seeders if known.seeders is None else known.seeders,
        private=private,
        trackers=() if private else known.trackers or other.trackers,
    )


def _text(entry: Element, tag: str) -> str:
    return lenient.text(entry.findtext(tag), _MAX_LINK)


def _is_web_link(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
