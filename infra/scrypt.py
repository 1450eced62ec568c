"""Digests of passwords that people choose: slow on purpose, and away from the event loop."""

import asyncio
import hashlib
import hmac
import os
from dataclasses import dataclass, field

from infra.secret import Secret

_SALT_BYTES = 16
# 16 MiB and about a fifth of a second; OWASP's cheat sheet on passwords, seen 2026-11-20.
_COST, _BLOCK, _PARALLEL = 2**14, 8, 5
_AT_ONCE = 2  # they must not take all of the memory and the processor
_NOBODYS = bytes(_SALT_BYTES + 32)


@dataclass(frozen=True, slots=True)
class Scrypt:
    """Makes and compares digests: salt, then 32 bytes."""

    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def digest(self, password: Secret) -> bytes:
        """Return what is stored of a password."""
        salt = os.urandom(_SALT_BYTES)
        return salt + await self._derive(password, salt)

    async def matches(self, password: Secret, stored: bytes | None) -> bool:
        """Tell whether it is the password; without one the work is the same, and the answer no."""
        expected = stored or _NOBODYS
        derived = await self._derive(password, expected[:_SALT_BYTES])
        return hmac.compare_digest(derived, expected[_SALT_BYTES:]) and stored is not None

    async def _derive(self, password: Secret, salt: bytes) -> bytes:
        async with self._turns:
            return await asyncio.to_thread(
                hashlib.scrypt,
                password.reveal().encode(errors="surrogatepass"),
                salt=salt,
                n=_COST,
                r=_BLOCK,
                p=_PARALLEL,
                dklen=32,
            )
