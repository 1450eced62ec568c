"""How the pool keeps secrets: keys sealed at rest, UUIDs and devices as digests only."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from infra.keyring import KeyRing
from infra.secret import Secret


@dataclass(frozen=True, slots=True)
class PoolCrypto:
    """Everything that the ring `POOL_KEK` is used for; each use has a label of its own."""

    ring: KeyRing

    def seal_key(self, key_id: int, store: str, version: int, secret: Secret) -> bytes:
        """Encrypt a pool key; bound to its row, so that rows cannot be swapped."""
        return self.ring.seal(
            "pool key", secret.reveal().encode(), _about_key(key_id, store, version)
        )

    def open_key(
        self, key_id: int, store: str, version: int, kek_id: str, sealed: bytes
    ) -> Secret | None:
        """Decrypt a pool key; None without the right ring or when the row was changed."""
        text = self.ring.open("pool key", kek_id, sealed, _about_key(key_id, store, version))
        return None if text is None else Secret(text.decode())

    def fingerprints(self, store: str, secret: Secret) -> tuple[bytes, ...]:
        """Return what finds a key again without decrypting: the first is stored.

        The others are those of a key that was added while another one led the ring.
        """
        return self.ring.digests("key fingerprint", f"{store}\0{secret.reveal()}".encode())

    def prints(self, device_ids: tuple[str, ...]) -> list[bytes]:
        """Return the prints of a device, the present one first.

        A first-generation client sends a plain hash of address and browser, which could be
        reversed; so what is stored is keyed.
        """
        return [
            digest
            for device_id in device_ids
            for digest in self.ring.digests("device print", device_id.encode())
        ]


def hash_auth(auth: UUID) -> bytes:
    """Return what is stored of a user's UUID: it has 122 random bits, so a plain hash will do."""
    return hashlib.sha256(str(auth).encode()).digest()


def _about_key(key_id: int, store: str, version: int) -> bytes:
    return f"pool_key|{key_id}|{store}|{version}".encode()
