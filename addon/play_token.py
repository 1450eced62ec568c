"""The two halves of a play URL, which nobody can read, forge or change.

`Who` plays is sealed once a config and device, `What` is played once a stream and shared by all.
There is no expiry: Stremio replays stored URLs days later, and the present state of user, device,
config and key decides then.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from addon.device import Device
from infra.errors import ConfigInvalid
from infra.keyring import KeyRing
from infra.secret import Secret

_VERSION = b"\x01"
# A play URL stays below 1,500 characters: both halves, 60 of the server's address and 100 around.
_MAX_CHARACTERS = 870
_MAX_PATH_BYTES = 120
_MAX_TEXT_BYTES = 160  # of path and name together


class StoreAccess(msgspec.Struct, frozen=True, array_like=True):
    """One store of a config. `auth` is the UUID's 16 bytes, or empty."""

    code: str
    auth: bytes
    token: str

    def __repr__(self) -> str:
        return f"StoreAccess({self.code!r}, ***)"

    @property
    def own_token(self) -> Secret | None:
        """The person's own token, if there is one."""
        return Secret(self.token) if self.token else None


class Who(msgspec.Struct, frozen=True, array_like=True):
    """Everything of a person and a device that a play needs.

    `saved` is the digest of the id of a saved configuration: it must still grant these stores.
    """

    stores: tuple[StoreAccess, ...]
    device_ids: tuple[str, ...]
    device_class: str
    network: bytes
    saved: bytes = b""

    @property
    def device(self) -> Device:
        """The device that asked for the list."""
        return Device(self.device_ids, self.device_class, self.network)


class What(msgspec.Struct, frozen=True, array_like=True):
    """One listed stream.

    Attributes:
        media: text of the `MediaId`.
        path, size_bytes: the file that was chosen; an empty path: to be chosen by the store's list.
        stores: codes of the stores that it was listed for, in the order of the config.
        scope: empty, or the digest of the indexer of the one user who may play it.
        name: the release name, for choosing again when the file is not there as expected.
        quality: label for the usage log.
        cached: whether it was listed as cached; None when no store could say.
    """

    media: str
    info_hash: str
    path: str
    size_bytes: int | None
    stores: tuple[str, ...]
    scope: str
    name: str
    quality: str
    cached: bool | None


T = TypeVar("T", Who, What)


@dataclass(frozen=True, slots=True)
class PlayTokens:
    """Seals and opens the halves."""

    ring: KeyRing

    def seal_who(self, who: Who) -> str:
        """Return the first half.

        Raises:
            ConfigInvalid: the own tokens together are too long for a URL.
        """
        # Deflated: one UUID stands beside each store, and own tokens are plain letters.
        text = self._seal("play who", zlib.compress(msgspec.msgpack.encode(who)))
        if len(text) > _MAX_CHARACTERS:
            raise ConfigInvalid("the keys of this configuration are too long for a play URL")
        return text

    def seal_what(self, what: What) -> str:
        """Return the second half; of a long path the end is kept, of a long name the beginning."""
        path = _end(what.path, _MAX_PATH_BYTES)
        name = _start(what.name, _MAX_TEXT_BYTES - len(path.encode()))
        short = msgspec.structs.replace(what, path=path, name=name)
        return self._seal("play what", msgspec.msgpack.encode(short))

    def open_who(self, text: str) -> Who | None:
        """Return who it names; None when it is broken or not ours."""
        opened = self._open("play who", text)
        return None if opened is None else _decode(zlib.decompress(opened), Who)

    def open_what(self, text: str) -> What | None:
        """Return what it names; None when it is broken or not ours."""
        opened = self._open("play what", text)
        return None if opened is None else _decode(opened, What)

    def _seal(self, label: str, half: bytes) -> str:
        key_id = self.ring.first.encode()
        head = _VERSION + bytes([len(key_id)]) + key_id
        sealed = self.ring.seal(label, half, head)
        return base64.urlsafe_b64encode(head + sealed).rstrip(b"=").decode()

    def _open(self, label: str, text: str) -> bytes | None:
        if len(text) > _MAX_CHARACTERS or not text.isascii():
            return None
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return None
        # One token has one text: the decoder passes over left-over bits and foreign characters.
        if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text or len(data) < 2:
            return None
        end = 2 + data[1]
        head, sealed = data[:end], data[end:]
        if head[:1] != _VERSION:
            return None
        return self.ring.open(label, head[2:].decode(errors="replace"), sealed, head)


def _decode(data: bytes, shape: type[T]) -> T | None:
    """Decode a half; None for one that another version of this program has sealed."""
    try:
        return msgspec.msgpack.decode(data, type=shape)
    except msgspec.ValidationError:
        return None


def _end(path: str, limit: int) -> str:
    """Return the last folders and the file that fit; of a file name that does not, its end."""
    cut = path.encode()[-limit:].decode(errors="ignore")
    return cut if cut == path else cut.partition("/")[2] or cut


def _start(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")
