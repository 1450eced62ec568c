"""Which device asks: recognised from an addon request only, never from a player's.

The address is widened to a network and the browser's name to a class, so that an update, a
privacy address or another port is not a new device. Nothing of either is kept but a keyed digest.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from infra.http_client import is_public_address
from infra.keyring import KeyRing
from infra.secret import Secret

AGGREGATOR_HEADER = "x-chillproxy-aggregator"
_AGGREGATOR_USER = "x-client-ip"

# First match wins. Android apps of Stremio send no name at all.
_CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("android", r"^$"),
        ("tvos", r"^stremio-apple/.*\b(?:apple ?tv|tvos)"),
        ("ios", r"^stremio-apple/"),
        ("desktop", r"stremioshell|qtwebengine"),
        ("kodi", r"\bkodi\b|\bxbmc\b"),
        ("tv", r"tizen|web0s|webos|smart-?tv|vidaa|\bbravia\b|android tv|aftt|crkey"),
        ("aggregator", r"aiostreams|stremthru|comet|mediafusion|jackettio|node-fetch|axios|undici"),
        ("firefox", r"firefox/"),
        ("chromium", r"chrom(?:e|ium)/|edg/|opr/"),
        ("safari", r"safari/"),
        ("okhttp", r"okhttp|dalvik"),
    )
)


class Device(msgspec.Struct, frozen=True):
    """A device as far as it can be told: `ids` under the present and the older secrets.

    `network` is a keyed digest of the viewer's network.
    """

    ids: tuple[str, ...]
    device_class: str
    network: bytes


@dataclass(frozen=True, slots=True)
class DeviceReader:
    """Turns a request's address and headers into a `Device`."""

    ring: KeyRing
    ipv6_prefix: int
    aggregator_secrets: tuple[Secret, ...]

    def read(self, address: str, headers: Mapping[str, str]) -> Device:
        """Return the device behind an addon request; header names are lower case."""
        stated = self._stated_address(headers)
        device_class = "aggregator" if stated else classify(headers.get("user-agent", ""))
        network = widen(stated or address, self.ipv6_prefix)
        text = f"{network}\0{device_class}".encode()
        return Device(
            ids=tuple(digest.hex()[:32] for digest in self.ring.digests("device", text)),
            device_class=device_class,
            network=self.ring.digest("network", network.encode())[:16],
        )

    def is_aggregator(self, headers: Mapping[str, str]) -> bool:
        """Tell whether the request carries the secret of a configured aggregator."""
        return _matches(headers.get(AGGREGATOR_HEADER, ""), self.aggregator_secrets)

    def _stated_address(self, headers: Mapping[str, str]) -> str | None:
        """Return its user's address, where a configured aggregator states one."""
        if not self.is_aggregator(headers):
            return None
        return headers.get(_AGGREGATOR_USER, "").strip() or None


def _matches(given: str, secrets: Iterable[Secret]) -> bool:
    matches = [Secret(given) == secret for secret in secrets]  # each of them, in constant time
    return bool(given) and any(matches)


def classify(user_agent: str) -> str:
    """Return the class of a client by its name, without versions."""
    for name, pattern in _CLASSES:
        if pattern.search(user_agent[:512]):
            return name
    return "other"


def widen(address: str, ipv6_prefix: int = 64) -> str:
    """Return the network of an address: all of IPv4, a prefix of IPv6; `lan` if not public."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "lan"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not is_public_address(str(ip)):
        return "lan"
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, ipv6_prefix), strict=False))
    return str(ip)
