"""The shapes of settings and how each is read from text.

A reader raises `BadValue`; its words say what is wrong and what is expected, and never quote the
text, which may be a secret or carry one.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec

from infra.secret import Secret

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Demo: TypeAlias = Literal["auto", "on", "off"]
OwnTokens: TypeAlias = Literal["everyone", "users", "off"]
StreamProxy: TypeAlias = Literal["off", "own", "all"]
ProviderStrategy: TypeAlias = Literal["priority"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["auto", "json", "console"]
Quality: TypeAlias = Literal["CAM", "SD", "720p", "1080p", "1440p", "2160p"]
ApiScope: TypeAlias = Literal["pool", "key:read", "admin"]

QUALITIES: tuple[Quality, ...] = get_args(Quality)
API_SCOPES: tuple[ApiScope, ...] = get_args(ApiScope)
STORE_NAMES = ("torbox", "realdebrid", "alldebrid", "premiumize", "debridlink")

_SHORTEST_RING_KEY = 32  # bytes
_LONGEST_NAME = 40  # characters
_RING_ID = re.compile(r"[A-Za-z0-9_-]{1,16}")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_-]+)*\.?")
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")
_RATE = re.compile(r"([a-z]+)=([1-9]\d{0,5})/(s|min|h)(?::([1-9]\d{0,3}))?")
_CLEANUP = re.compile(r"ours-after-([1-9]\d{0,2})d")
_REGION = re.compile(r"[A-Z]{2}")
_CRON_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")
_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")
_SPAN = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_AN_HTTP_URL = "expected http(s)://host[:port][/path]"

T = TypeVar("T")


class BadValue(Exception):
    """A text that is no value of its setting, with one message for each mistake in it."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


class RingKey(msgspec.Struct, frozen=True):
    """One key of a ring, whose first key seals and whose others still open.

    Attributes:
        id: goes in front of what the key has sealed.
        secret: the key in base64.
    """

    id: str
    secret: Secret

    @property
    def raw(self) -> bytes:
        """The key itself, at least 32 bytes."""
        return _decode_base64(self.secret.reveal())


class ApiKey(msgspec.Struct, frozen=True):
    """A bearer secret of the internal API and what it may do."""

    secret: Secret
    scopes: frozenset[ApiScope]


class Indexer(msgspec.Struct, frozen=True):
    """A Torznab endpoint; `api_key` is empty where the endpoint asks for none."""

    name: str
    url: str
    api_key: Secret


class ConfiguredAddon(msgspec.Struct, frozen=True):
    """Another addon's manifest URL, a secret as a whole: such URLs carry their configuration."""

    name: str
    url: Secret


class EmbedProvider(msgspec.Struct, frozen=True):
    """A URL template with `{tmdb_id}` or `{imdb_id}` in it."""

    name: str
    template: str


class StoreRate(msgspec.Struct, frozen=True):
    """At most `calls` in `per`; `burst` of them at once, None for the store's usual burst."""

    calls: int
    per: timedelta
    burst: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one setting is read, and what is said of it.

    Attributes:
        meaning: for the README.
        read: from text to value.
        is_secret: it may also come from a file, by `NAME_FILE`.
        default: what the README gives as default where the value does not say it by itself.
    """

    meaning: str
    read: Callable[[str], object]
    is_secret: bool = False
    default: str | None = None

    def parse(self, text: str) -> object:
        """Read the text of the setting.

        Raises:
            BadValue: it cannot be read.
        """
        return self.read(_one_line(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListSetting(Setting):
    """A setting with several entries: `read` reads one, `combine` makes the value of them all."""

    combine: Callable[[list[Any]], object] = tuple

    def parse(self, text: str) -> object:
        """Read the entries; a mistake names the number of its entry.

        Raises:
            BadValue: with every mistake.
        """
        values: list[object] = []
        mistakes: list[str] = []
        for number, entry in enumerate(split_entries(text), 1):
            try:
                values.append(self.read(_one_line(entry)))
            except BadValue as wrong:
                mistakes.extend(f"entry {number}: {message}" for message in wrong.messages)
        if mistakes:
            raise BadValue(*mistakes)
        return self.combine(values)


def split_entries(text: str) -> list[str]:
    """Split a list: a JSON array of texts, one entry a line, or entries between commas."""
    if text.lstrip().startswith("["):
        try:
            entries = msgspec.json.decode(text, type=list[str])
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            raise BadValue("not a JSON array of texts, expected one, or entries in lines") from None
    else:
        entries = text.split("\n" if "\n" in text else ",")
    return [entry.strip() for entry in entries if entry.strip()]


def _one_line(text: str) -> str:
    text = text.strip()
    if any(not letter.isprintable() for letter in text):
        raise BadValue("holds a line break or another unprintable character, expected one line")
    return text


def boolean(text: str) -> bool:
    """Read a yes or a no."""
    word = text.lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise BadValue("not a yes or no, expected true or false (or 1, 0, yes, no, on, off)")


def whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers between two bounds."""

    def read(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,12}", text) is None:
            raise BadValue(f"not a whole number, expected one from {least} to {most}")
        if not least <= int(text) <= most:
            raise BadValue(f"out of range, expected {least} to {most}")
        return int(text)

    return read


def duration(least: float, most: float) -> Callable[[str], timedelta]:
    """Return a reader of spans, in seconds or ISO 8601, between two bounds in seconds."""

    def read(text: str) -> timedelta:
        try:
            span = msgspec.convert(text, timedelta, strict=False)
        except msgspec.ValidationError:
            raise BadValue("not a duration, expected seconds (8) or ISO 8601 (PT8S)") from None
        if not least <= span.total_seconds() <= most:
            raise BadValue(f"out of range, expected {least:g} to {most:g} seconds")
        return span

    return read


def one_of(words: Sequence[T]) -> Callable[[str], T]:
    """Return a reader of one word of a few, in any case."""
    known = {str(word).lower(): word for word in words}

    def read(text: str) -> T:
        if text.lower() not in known:
            raise BadValue(f"not a known word, expected {_either(list(map(str, words)))}")
        return known[text.lower()]

    return read


def label(text: str) -> str:
    """Read a short name for people."""
    if not 0 < len(text) <= _LONGEST_NAME:
        raise BadValue(f"a name of {len(text)} characters, expected 1 to {_LONGEST_NAME}")
    return text


def path(text: str) -> Path:
    """Read a path; `~` is the home directory."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise BadValue("a home directory that does not exist, expected a path") from None


def address(text: str) -> str:
    """Read an IP address."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise BadValue("not an IP address, expected one like 203.0.113.7") from None


def network(text: str) -> Network:
    """Read a network, or one address as a network of its own."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise BadValue(
            "not a network, expected one like 10.0.0.0/8, with no bit set beyond its prefix"
        ) from None


def host(text: str) -> str:
    """Read an address or host name to listen on."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text.lower()) is None:
            raise BadValue("not an address or host name, expected one like 0.0.0.0") from None
        return text.lower()


def web_url(text: str) -> str:
    """Read an http or https URL without user, query and fragment; the host is put in lower case."""
    scheme, host_and_port, rest = _parts_of_url(text)
    if "?" in text or "#" in text:
        raise BadValue(f"a URL with a query or fragment, {_AN_HTTP_URL}")
    if _PATH.fullmatch(rest) is None or {".", ".."} & set(rest.split("/")):
        raise BadValue(f"a URL with an unusable path, {_AN_HTTP_URL}")
    return f"{scheme}://{host_and_port}{rest}"


def base_url(text: str) -> str:
    """Read a URL that others are made from: as `web_url`, without slashes at its end."""
    return web_url(text).rstrip("/")


def origin(text: str) -> str:
    """Read the origin of a web page: scheme, host and port."""
    read = base_url(text)
    if read.count("/") != 2:
        raise BadValue("a URL with a path, expected an origin like https://app.example")
    return read


def secret_url(text: str) -> Secret:
    """Read an http or https URL that is a secret as a whole, and may have a query."""
    _parts_of_url(text)
    return Secret(text)


def database_url(text: str) -> Secret:
    """Read the URL of a Postgres database."""
    if not text.startswith(("postgresql://", "postgres://")):
        raise BadValue("not a Postgres URL, expected postgresql://user:password@host/database")
    return Secret(text)


def passphrase(text: str) -> Secret:
    """Read a secret that people type: any characters."""
    return Secret(text)


def token(text: str) -> Secret:
    """Read a secret that is sent in a header: visible ASCII characters."""
    if not text or not text.isascii() or " " in text:
        raise BadValue("a blank or a character outside ASCII in it, expected a key without them")
    return Secret(text)


def ring_key(text: str) -> RingKey:
    """Read one key of a ring."""
    name, colon, encoded = text.partition(":")
    if not colon or _RING_ID.fullmatch(name) is None:
        raise BadValue("no id before the key, expected id:base64, the id of 1 to 16 A-Za-z0-9_-")
    try:
        size = len(_decode_base64(encoded))
    except (binascii.Error, ValueError):
        raise BadValue("a key that is not base64, expected id:base64") from None
    if size < _SHORTEST_RING_KEY:
        raise BadValue(f"a key of {size} bytes, expected at least {_SHORTEST_RING_KEY}")
    return RingKey(name, Secret(encoded))


def ring(keys: list[RingKey]) -> tuple[RingKey, ...]:
    """Put keys together to a ring; no two may share an id."""
    return _unique(keys, "id")


def api_key(text: str) -> ApiKey:
    """Read `secret`, which may do everything, or `scope:secret`."""
    for scope in API_SCOPES:
        if text.startswith(f"{scope}:"):
            return ApiKey(token(text.removeprefix(f"{scope}:")), frozenset({scope}))
    if ":" in text:
        # Were it taken as a plain secret, a misspelt scope would widen what the key may do.
        raise BadValue(
            f"no scope before the colon, expected secret or scope:secret with {_either(API_SCOPES)}"
        )
    return ApiKey(token(text), frozenset(API_SCOPES))


def api_keys(entries: list[ApiKey]) -> tuple[ApiKey, ...]:
    """Put entries together: a secret that stands there twice has the scopes of both."""
    scopes: dict[Secret, frozenset[ApiScope]] = {}
    for entry in entries:
        scopes[entry.secret] = scopes.get(entry.secret, frozenset()) | entry.scopes
    return tuple(ApiKey(secret, granted) for secret, granted in scopes.items())


def indexer(text: str) -> Indexer:
    """Read `name|url|apikey`; the key may be missing."""
    name, _, rest = text.partition("|")
    url, _, key = rest.partition("|")
    if not url:
        raise BadValue("no URL in it, expected name|url|apikey")
    return Indexer(label(name.strip()), web_url(url.strip()), token(key) if key else Secret(""))


def indexers(entries: list[Indexer]) -> tuple[Indexer, ...]:
    """Put indexers together; no two may share a name."""
    return _unique(entries, "name")


def addon(text: str) -> ConfiguredAddon:
    """Read a manifest URL or `name|url`; without a name the host is the name."""
    name, bar, url = text.partition("|")
    if not bar or "://" in name:
        name, url = "", text
    _, host_and_port, rest = _parts_of_url(url.strip())
    if not rest.endswith("/manifest.json") or "?" in url:
        raise BadValue("not a manifest URL, expected one that ends in /manifest.json")
    return ConfiguredAddon(
        label(name.strip() or host_and_port[:_LONGEST_NAME]), Secret(url.strip())
    )


def addons(entries: list[ConfiguredAddon]) -> tuple[ConfiguredAddon, ...]:
    """Put addons together; no two may share a name."""
    return _unique(entries, "name")


def embed_provider(text: str) -> EmbedProvider:
    """Read `name|template`."""
    name, bar, template = (part.strip() for part in text.partition("|"))
    if not bar:
        raise BadValue("no template in it, expected name|template")
    found = set(_PLACEHOLDER.findall(template))
    if not found or not found <= {"{tmdb_id}", "{imdb_id}"}:
        raise BadValue("other placeholders or none, expected {tmdb_id} or {imdb_id} in a URL")
    _parts_of_url(template)
    return EmbedProvider(label(name), template)


def embed_providers(entries: list[EmbedProvider]) -> tuple[EmbedProvider, ...]:
    """Put providers together; no two may share a name."""
    return _unique(entries, "name")


def store_rate(text: str) -> tuple[str, StoreRate]:
    """Read `store=calls/span` or `store=calls/span:burst`."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise BadValue("not a rate, expected one like realdebrid=200/min:5 (per s, min or h)")
    if match[1] not in STORE_NAMES:
        raise BadValue(f"not a store, expected {_either(STORE_NAMES)}")
    burst = int(match[4]) if match[4] else None
    return match[1], StoreRate(int(match[2]), _SPAN[match[3]], burst)


def store_rates(entries: list[tuple[str, StoreRate]]) -> dict[str, StoreRate]:
    """Put rates together; each store may stand there once."""
    rates = dict(entries)
    if len(rates) < len(entries):
        raise BadValue("a store stands there twice, expected one rate a store")
    return rates


def cron(text: str) -> str:
    """Check a schedule: minute, hour, day of month, month, day of week."""
    fields = text.split()
    if len(fields) != len(_CRON_BOUNDS) or not all(map(_is_cron_field, fields, _CRON_BOUNDS)):
        raise BadValue("not a schedule, expected five cron fields like */30 * * * *")
    return " ".join(fields)


def item_cleanup(text: str) -> timedelta | None:
    """Read after how long items of ours are deleted at a store; None for never."""
    if text.lower() == "off":
        return None
    match = _CLEANUP.fullmatch(text.lower())
    if match is None:
        raise BadValue("not a known word, expected off or ours-after-<days>d")
    return timedelta(days=int(match[1]))


def region(text: str) -> str:
    """Read the code of a country."""
    if _REGION.fullmatch(text.upper()) is None:
        raise BadValue("not a country, expected two letters like US")
    return text.upper()


def _parts_of_url(text: str) -> tuple[str, str, str]:
    """Return scheme, host with port, and path of an http URL."""
    try:
        parts = urlsplit(text)
        name, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadValue(f"not a URL, {_AN_HTTP_URL}") from None
    if parts.scheme not in {"http", "https"} or any(mark in text for mark in " \\"):
        raise BadValue(f"not a web URL, {_AN_HTTP_URL}")
    if "@" in parts.netloc:
        raise BadValue(f"a URL with a user name or password, {_AN_HTTP_URL}")
    if not _is_host(name, in_brackets="[" in parts.netloc) or port == 0:
        raise BadValue(f"a URL without a usable host, {_AN_HTTP_URL}")
    shown = f"[{name}]" if ":" in name else name
    return parts.scheme, shown if port is None else f"{shown}:{port}", parts.path


def _is_host(text: str, *, in_brackets: bool) -> bool:
    if not in_brackets:
        return _HOST.fullmatch(text) is not None
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _is_cron_field(text: str, bounds: tuple[int, int]) -> bool:
    return all(_is_cron_part(part, *bounds) for part in text.split(","))


def _is_cron_part(text: str, least: int, most: int) -> bool:
    match = _CRON_PART.fullmatch(text)
    if match is None:
        return False
    first = int(match[1] or least)
    last = int(match[2] or match[1] or most)
    # A step needs something to step through: `*/5` and `10-50/5`, not `5/5`.
    has_range = match[1] is None or match[2] is not None
    return least <= first <= last <= most and (match[3] is None or has_range)


def _decode_base64(text: str) -> bytes:
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _unique(entries: list[T], attribute: str) -> tuple[T, ...]:
    if len({getattr(entry, attribute) for entry in entries}) < len(entries):
        raise BadValue(f"two entries with one {attribute}, expected a different one for each")
    return tuple(entries)


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
