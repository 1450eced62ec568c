"""A release name taken apart: its title, what follows it, and what parsett says of the whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PTT import parse_title

from addon.titles.numbering import Numbers, read_numbers
from addon.titles.text import clean
from addon.titles.vocabulary import VIDEO_EXTENSIONS

# parsett's time grows faster than the name: 65 ms at 500 characters, seconds at 4,000.
_LONGEST = 300
_CONTAINERS = VIDEO_EXTENSIONS | {"iso"}
_EXTENSION = re.compile(rf"\.({'|'.join(_CONTAINERS)}|torrent|strm|nzb)$", re.IGNORECASE)


# "Harbour.2019.TS" is a telesync, "Harbour.S01E02.HDTV.TS" a recording.
_RECORDED = re.compile(r"(?<![^\W_])(?:hdtv|dvb|satrip|web|blu-?ray|S\d+E\d+)", re.IGNORECASE)
# Sites that carry a release further put their own word behind its group.
_REPOST = re.compile(
    r"-(?:Rakuv\w*|Obfuscated|postbot|xpost|AsRequested|BUYMORE|Scrambled|NZBgeek|WRTEAM)$",
    re.IGNORECASE,
)
_DTS_ES = re.compile(r"(?<![^\W_])DTS[ .-]?ES(?![^\W_])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """A name taken apart: what parsett said of it, and where its title ends.

    `tail` is what follows the title: words in it describe the release, words before may be part of
    the title ("The French Harbour", "Cam").
    """

    text: str
    title: str
    tail: str
    said: Mapping[str, Any]
    numbers: Numbers | None
    container: str


_GROUP_IN_FRONT = re.compile(r"^(?:\[[^\[\]]*\]|【[^【】]*】)[ ._-]*")
_MARK = re.compile(
    r"(?<![^\W_])(?:"
    r"S\d{1,3}(?:E\d+)?|\d{1,2}x\d{2,3}|seasons?|saison|temporada|сезон"
    r"|\d{3,4}[pi]|\d{3,4}x\d{3,4}|4k|uhd|[uf]hd|(?:nf|q)hd"
    r"|blu-?ray|[bmh]?[bd][dr]-?(?:rip|mux|remux|iso|\d{3,4}p)|bdmv|remux|web(?:-?dl|-?rip|-?hd)?"
    r"|h[dq]-?tv(?:-?rip)?|[pd]sr|pdtv|h[dq]-?rip|m?dvd(?:-?rip|-?scr|[59r])?|xvidvd|vhs-?rip"
    r"|(?:hd|hq|new)-?(?:cam|ts|tc)(?:-?rip)?|cam-?rip|telesync|telecine|workprint"
    r"|[xh][ .]?26[45]|hevc|xvid|divx|av1|multi|dual[ ._-]?audio"
    r")(?![^\W_])"
    r"|[ ._]-[ ._]+\d{1,4}(?:v\d)?(?=[ ._]*(?:[\[(]|$))"
    r"|[\[(](?=[^\])]*(?:\d{3,4}[pi]|bd|web|dvd|batch))",
    re.IGNORECASE,
)
BRACKETS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|【[^【】]*】|[\[\](){}【】]")


def take_apart(name: str) -> Name:
    """Split a name of any length into title and rest, and ask parsett about it."""
    text, container = _split_extension(name)
    numbers = read_numbers(text)
    if numbers is not None:
        spelled = "S01E01" if numbers.episodes else "S01"
        text = text[: numbers.start] + (spelled if numbers.start else "") + text[numbers.end :]
    said = _ask_parsett(text, container)
    end = _end_of_title(text, said)
    front = _GROUP_IN_FRONT.match(text)
    title = text[front.end() if front else 0 : end]
    return Name(text, title, text[end:], said, numbers, container)


def _split_extension(name: str) -> tuple[str, str]:
    """Return the name without extensions, cleaned and cut, and the container that they name."""
    if len(name) > 5 * _LONGEST:
        name = name[: 4 * _LONGEST] + name[-12:]
    name, container = clean(name), ""
    for _ in range(3):  # "name.mkv.torrent"
        match = _EXTENSION.search(name)
        if match and (match[1] != "TS" or _RECORDED.search(name)):
            name = name[: match.start()]
            container = container or (match[1].lower() if match[1].lower() in _CONTAINERS else "")
    return _REPOST.sub("", name)[:_LONGEST].strip(), container


def _ask_parsett(text: str, container: str) -> dict[str, Any]:
    # Some of its rules want an extension. `.ts` would be read as TeleSync, so all become `.mkv`.
    # The ES of a sound format would be read as Spanish.
    text = _DTS_ES.sub("DTS", text)
    try:
        said: dict[str, Any] = parse_title(f"{text}.mkv" if container else text)
    except Exception:  # noqa: BLE001  # a stranger's name met 400 expressions: the title must do
        return {}
    return said


def _end_of_title(text: str, said: Mapping[str, Any]) -> int:
    """Find where the title ends: at the first word that describes, or at the year before it."""
    match = _MARK.search(text, 1)
    end = match.start() if match else len(text)
    year = text.rfind(str(said.get("year") or "\n"), 1, end)
    return year if year > 0 else end


def plain(text: str) -> str:
    """Return a title without brackets and separators, as people read it."""
    return " ".join(BRACKETS.sub(" ", text).replace(".", " ").replace("_", " ").split()).strip(" -")
