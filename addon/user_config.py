"""A person's configuration, as it stands in the addon URL: read strictly, once, into types."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated
from uuid import UUID

import msgspec

from infra.errors import ConfigInvalid
from infra.secret import Secret

MAX_CHARACTERS = 4096
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TO_STANDARD = str.maketrans("-_", "+/")
_WITHOUT_STORE = frozenset({"", "p2p"})  # codes of other addons for playing without one
_MAX_BRACKETS = 100  # a full configuration has about thirty
_REMEMBERED = 2_000

_Word = Annotated[str, msgspec.Meta(max_length=64)]
_Words = Annotated[tuple[_Word, ...], msgspec.Meta(max_length=50)]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
# What stands in a header one day; blanks around it come from pasting.
_Token = Annotated[str, msgspec.Meta(max_length=512, pattern=r"^\s*(?:[!-~]+\s*)?$")]


class Filter(msgspec.Struct, frozen=True, rename="camel"):
    """Which streams are wanted. Sizes are bytes of the file that would play, 0 is no limit."""

    resolutions: _Words = ()
    exclude_qualities: _Words = ("CAM",)
    languages: _Words = ()
    only_languages: _Words = ()
    min_size: _Bytes = 0
    max_size: _Bytes = 0
    exclude_keywords: _Words = ()
    per_resolution: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    max_streams: Annotated[int, msgspec.Meta(ge=0, le=200)] = 50


class StoreChoice(msgspec.Struct, frozen=True):
    """A store that the person uses, with the pool (`auth`), an own token, or both.

    `auth_is_broken`: something stood there that is no UUID.
    """

    code: str
    auth: UUID | None
    token: Secret | None
    auth_is_broken: bool

    def __repr__(self) -> str:
        auth = "broken" if self.auth_is_broken else "***" if self.auth else "none"
        return f"StoreChoice({self.code!r}, auth={auth}, token={self.token!r})"


class UserConfig(msgspec.Struct, frozen=True):
    """A whole configuration.

    Attributes:
        ignored: what was asked for and is not there, for people.
        saved: the digest of the id that it is saved under; empty when it stands in the URL itself.
    """

    stores: tuple[StoreChoice, ...]
    cached_only: bool
    sort: tuple[str, ...]
    filter: Filter
    ignored: tuple[str, ...]
    saved: bytes = b""


# On the wire null stands for what is absent: Go programs write it for an empty list.
class _Store(msgspec.Struct):
    c: Annotated[str, msgspec.Meta(max_length=16)]
    auth: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    t: _Token | None = None


class _Indexer(msgspec.Struct):
    u: Annotated[str, msgspec.Meta(max_length=1024)]
    n: _Word | None = None
    ak: _Token | None = None


class _Config(msgspec.Struct):
    stores: Annotated[list[_Store], msgspec.Meta(max_length=10)] | None
    indexers: Annotated[list[_Indexer], msgspec.Meta(max_length=10)] | None = None
    cached: bool | None = None
    sort: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    filter: Filter | str | None = None
    proxy: bool | None = None


def _refuse_doubles(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise ConfigInvalid("the configuration names a key twice")


_decoder = msgspec.json.Decoder(_Config)
# Readers differ in which of two equal keys they take (msgspec the last one), so neither counts.
_doubles = json.JSONDecoder(object_pairs_hook=_refuse_doubles)


@lru_cache(maxsize=_REMEMBERED)
def decode_user_config(text: str) -> UserConfig:
    """Read the config segment of a URL, percent-decoded.

    Takes base64 of JSON in the standard or the URL alphabet, padded or not, and no other spelling
    of the same bytes: one configuration has few texts. Unknown keys are ignored. Answers are
    remembered, as each list of a person carries the same text.

    Raises:
        ConfigInvalid: it cannot be read; the message says where, never what stands there.
    """
    return decode_config_json(read_config_json(text))


def read_config_json(text: str) -> bytes:
    """Return the JSON that a config segment spells, unread.

    Raises:
        ConfigInvalid: it is too long, or no base64.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigInvalid("the configuration is longer than 4096 characters")
    return _decode_base64(text)


def decode_config_json(data: bytes) -> UserConfig:
    """Read a configuration that is JSON.

    Raises:
        ConfigInvalid: as `decode_user_config`.
    """
    # How deep a reader can go differs between versions of Python; no reader starts on this.
    if data.count(b"[") + data.count(b"{") > _MAX_BRACKETS:
        raise ConfigInvalid("the configuration holds too many lists or objects")
    try:
        wire = _decoder.decode(data)
        _doubles.decode(data.decode())
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"the configuration is not as expected: {_where(error)}") from None
    except (msgspec.DecodeError, ValueError):
        raise ConfigInvalid("the configuration is not JSON") from None
    return _typed(wire)


def encode_user_config(auth: UUID, codes: Sequence[str]) -> str:
    """Return the config segment of a person who uses the pool for the given stores."""
    stores = [{"c": code, "auth": str(auth)} for code in codes]
    return encode_config_json(msgspec.json.encode({"stores": stores}))


def encode_config_json(text: bytes) -> str:
    """Return the config segment for JSON, in the alphabet that survives in every URL."""
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _decode_base64(text: str) -> bytes:
    bare = text.rstrip("=").translate(_TO_STANDARD)
    padding = "=" * (-len(bare) % 4)
    try:
        decoded = base64.b64decode(bare + padding, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigInvalid("the configuration is not base64") from None
    # Compared as a whole: Python takes left-over bits that no encoder writes, and two texts in one
    # alphabet must not mean the same.
    spellings = {
        encoded[: len(encoded) - cut]
        for encoded in (base64.b64encode(decoded), base64.urlsafe_b64encode(decoded))
        for cut in (0, len(padding))
    }
    if text.encode() not in spellings:
        raise ConfigInvalid("the configuration is not base64")
    return decoded


def _where(error: msgspec.ValidationError) -> str:
    """Return the place of a mistake; the value may be a secret."""
    _, has_place, place = str(error).rpartition(" - at ")
    return place.strip("`") if has_place else "$"


def _typed(wire: _Config) -> UserConfig:
    stores = wire.stores or []
    return UserConfig(
        stores=tuple(_store(store) for store in stores if store.c not in _WITHOUT_STORE),
        cached_only=bool(wire.cached),
        sort=tuple(word.strip() for word in (wire.sort or "").split(",") if word.strip()),
        filter=wire.filter if isinstance(wire.filter, Filter) else Filter(),
        ignored=tuple(_ignored(wire, stores)),
    )


def _ignored(wire: _Config, stores: Sequence[_Store]) -> Iterator[str]:
    if any(store.c in _WITHOUT_STORE for store in stores):
        yield "peer-to-peer streams"
    if isinstance(wire.filter, str) and wire.filter.strip():
        yield "filter expressions"
    if wire.indexers:
        yield "own indexers"
    if wire.proxy:
        yield "streaming through the server"


def _store(wire: _Store) -> StoreChoice:
    auth = (wire.auth or "").strip().lower()
    is_uuid = bool(_UUID.fullmatch(auth))
    token = (wire.t or "").strip()
    return StoreChoice(
        code=wire.c,
        auth=UUID(auth) if is_uuid else None,
        token=Secret(token) if token else None,
        auth_is_broken=bool(auth) and not is_uuid,
    )
