"""Rings of keys: the first seals, all open, so that a secret can be changed without loss."""

import hmac
import os
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


class KeyRing:
    """Keys with ids, newest first; each use has a label and so a key of its own (HKDF)."""

    def __init__(self, keys: Sequence[tuple[str, bytes]]) -> None:
        self._keys = dict(keys)
        if not keys or len(self._keys) < len(keys):
            raise ValueError("a ring needs a key, and each key an id of its own")
        self._first = keys[0][0]
        self._derived = lru_cache(maxsize=64)(self._derive)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        return self._first

    def ids(self) -> tuple[str, ...]:
        """Return all ids, the one that seals first."""
        return tuple(self._keys)

    def seal(self, label: str, text: bytes, about: bytes = b"") -> bytes:
        """Encrypt with the first key: nonce, then ciphertext and tag. `about` is bound to it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._aead(label, self._first).encrypt(nonce, text, about)

    def open(self, label: str, key_id: str, sealed: bytes, about: bytes = b"") -> bytes | None:
        """Decrypt; None when the key is not in the ring or anything was changed."""
        if key_id not in self._keys or len(sealed) <= _NONCE_BYTES:
            return None
        try:
            return self._aead(label, key_id).decrypt(
                sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about
            )
        except InvalidTag:
            return None

    def digest(self, label: str, text: bytes) -> bytes:
        """Return the keyed digest (32 bytes) under the first key."""
        return hmac.digest(self._derived(label, self._first), text, "sha256")

    def digests(self, label: str, text: bytes) -> tuple[bytes, ...]:
        """Return the keyed digests under all keys, the first key's first."""
        return tuple(
            hmac.digest(self._derived(label, key_id), text, "sha256") for key_id in self._keys
        )

    def _aead(self, label: str, key_id: str) -> AESGCM:
        return AESGCM(self._derived(label, key_id))

    def _derive(self, label: str, key_id: str) -> bytes:
        kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=f"chillproxy {label}".encode())
        return kdf.derive(self._keys[key_id])
