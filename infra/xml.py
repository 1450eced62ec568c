"""Reads XML that came from outside: no DTD, no entities, bounded depth and count."""

import asyncio
import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.ElementTree import DefusedXMLParser

from infra.errors import ReplyInvalid

_MAX_DEPTH = 64
_MAX_ELEMENTS = 100_000
_MAX_ATTRIBUTES = 200_000
_IN_THREAD_BYTES = 256 * 1024

# Control characters that XML 1.0 does not allow, bare and as references.
_ILLEGAL = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f]"
    rb"|&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2[0-9]|3[01]));",
    re.IGNORECASE,
)


async def parse_xml(body: bytes) -> Element:
    """Return the root element; tags are local names, because servers mix namespaces.

    A body that is broken by control characters alone is mended. A large one is parsed in a
    thread.

    Raises:
        ReplyInvalid: it is not XML, has a DTD, or is beyond the bounds. The message quotes
            nothing of it.
    """
    # Expat makes all attributes of an element before we see the first.
    if body.count(b"=") > _MAX_ATTRIBUTES:
        raise ReplyInvalid("XML beyond our bounds")
    if len(body) > _IN_THREAD_BYTES:
        return await asyncio.to_thread(_parse_or_mend, body)
    return _parse_or_mend(body)


def _parse_or_mend(body: bytes) -> Element:
    try:
        return _parse(body)
    except ParseError:
        pass
    try:
        return _parse(_ILLEGAL.sub(b"", body.lstrip()))
    except ParseError:
        raise ReplyInvalid("not XML") from None


def _parse(body: bytes) -> Element:
    parser = DefusedXMLParser(target=_Tree(), forbid_dtd=True)
    try:
        parser.feed(body)
        root: Element = parser.close()
    except (ValueError, LookupError):  # a DTD; an encoding that nobody knows
        raise ReplyInvalid("XML that we do not read") from None
    return root


class _Tree(TreeBuilder):
    """Builds elements by their local names, within bounds."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        """Open an element."""
        self._depth += 1
        self._count += 1
        if self._depth > _MAX_DEPTH or self._count > _MAX_ELEMENTS:
            raise ReplyInvalid("XML beyond our bounds")
        return super().start(tag.rpartition("}")[2], attributes)

    def end(self, tag: str, /) -> Element:
        """Close an element."""
        self._depth -= 1
        return super().end(tag.rpartition("}")[2])
