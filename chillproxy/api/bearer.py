"""Who may call the internal API: from which networks, with which bearer, for what."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from infra.errors import Forbidden
from infra.secret import Secret
from infra.web import client_address

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Bearer:
    """A secret that callers present, and what it opens."""

    digest: bytes
    scopes: frozenset[str]

    @classmethod
    def of(cls, secret: Secret, scopes: frozenset[str]) -> "Bearer":
        """Return the bearer for a secret; the secret itself is not kept."""
        return cls(_digest(secret.reveal()), scopes)


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets internal callers in; several secrets are valid at once while one is replaced."""

    bearers: Sequence[Bearer]
    networks: Sequence[Network]
    proxies: Sequence[Network]

    def check(self, scope: Scope, *needed: str) -> None:
        """Let a request through that comes from the right place with the right secret.

        Raises:
            Forbidden: always the same words, whatever is wrong: existing clients expect 403.
        """
        if not self._is_near(scope) or not self._holds(scope, frozenset(needed)):
            raise Forbidden("Unauthorized")

    def _is_near(self, scope: Scope) -> bool:
        text = client_address(scope, self.proxies)
        if not text:
            return True  # a local socket
        address = ip_address(text)
        return any(address in network for network in self.networks)

    def _holds(self, scope: Scope, needed: frozenset[str]) -> bool:
        scheme, _, presented = Headers(scope=scope).get("authorization", "").partition(" ")
        digest = _digest(presented.strip())
        found = False
        for bearer in self.bearers:  # all of them, so that time tells nothing
            is_same = hmac.compare_digest(bearer.digest, digest)
            found |= is_same and needed <= bearer.scopes
        return found and scheme.lower() == "bearer"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
