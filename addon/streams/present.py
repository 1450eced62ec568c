"""How a stream looks to a person: entries as Stremio takes them, cut into bytes around the viewer.

The list of a title is the same for everybody with the same settings but for one part of each URL:
`who` plays. So a list is encoded once, in pieces, and `who.join(pieces)` is an answer.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from addon.playback.notice import Notice
from addon.titles.parse import Audio, Channels, Codec, Hdr, Release, Resolution, Source
from addon.urls import Urls, base_name

_GAP = b"\xff"  # stands for `who`; no byte of UTF-8, so no text of anybody's holds it
_LONGEST_LINE = 300
# Breaks of any kind, and what turns the direction of writing: a name stays in its line.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_PLAYABLE_ON_THE_WEB = (".mp4", ".m4v", ".webm")


class Hints(msgspec.Struct, omit_defaults=True, rename="camel"):
    """`behaviorHints` of a stream."""

    not_web_ready: bool = False
    binge_group: str | None = None
    filename: str | None = None
    video_size: int | None = None


class Entry(msgspec.Struct, omit_defaults=True, rename="camel"):
    """A stream as Stremio takes it. `description`, never `title`: both together drop the stream.

    `url` is a text, or ready JSON with a gap.
    """

    name: str
    description: str
    url: str | msgspec.Raw
    behavior_hints: Hints = msgspec.field(default_factory=Hints)


class _Streams(msgspec.Struct):
    streams: list[Entry]


class Shown(msgspec.Struct, frozen=True):
    """What is shown of one stream.

    Attributes:
        badge: the store's code and whether it is cached there (`TB+`).
        file_name: of the file that would play, or of the torrent while that is not known.
        size_bytes: of that file, or of the whole torrent (`is_pack_size`).
        what: the sealed half of the play URL.
    """

    badge: str
    release: Release
    name: str
    file_name: str
    size_bytes: int | None
    is_pack_size: bool
    seeders: int | None
    tracker: str
    what: str


def stream_entry(shown: Shown, urls: Urls, addon_name: str) -> Entry:
    """Return the entry of a stream; its URL has a gap where `who` belongs."""
    release, file_name = shown.release, _line(base_name(shown.file_name))
    web_ready = urls.base.startswith("https:") and file_name.lower().endswith(_PLAYABLE_ON_THE_WEB)
    return Entry(
        name=f"[{shown.badge}] {addon_name}\n{_picture(release)}".rstrip(),
        description=_description(shown, file_name),
        url=_with_gap(urls.play_head(), urls.play_tail(shown.what, file_name)),
        behavior_hints=Hints(
            not_web_ready=not web_ready,
            binge_group=_binge_group(release),
            filename=file_name or None,
            video_size=None if shown.is_pack_size else shown.size_bytes,
        ),
    )


def notice_entry(notice: Notice, urls: Urls, addon_name: str, said: str = "") -> Entry:
    """Return an entry that tells something: its clip says the same, so it can be played."""
    title = said or notice.title
    return Entry(
        name=f"[⚠️] {addon_name}",
        description=f"{title}\n{notice.advice}",
        url=urls.notice(notice.code),
    )


def encode(entries: Sequence[Entry]) -> tuple[bytes, ...]:
    """Encode a list in pieces; the gaps between them are for `who`."""
    return tuple(msgspec.json.encode(_Streams(list(entries))).split(_GAP))


def quality_label(release: Release) -> str:
    """Return resolution and source in short, for the usage log: `1080p WEB-DL`."""
    return " ".join(_known(Resolution(release.resolution), Source(release.source)))


def _with_gap(head: str, tail: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(head)[:-1] + _GAP + msgspec.json.encode(tail)[1:])


def _line(text: str) -> str:
    """Return a text of a stranger's as one line of bearable length."""
    return _UNPRINTABLE.sub(" ", text).strip()[:_LONGEST_LINE]


def _description(shown: Shown, file_name: str) -> str:
    release, name = shown.release, _line(shown.name)
    codec = _known(Source(release.source), Codec(release.codec))
    sound = [*_labels(Audio(release.audio)), *_known(Channels(release.channels))]
    facts = [
        f"💾 {_size(shown.size_bytes)}{' in all' if shown.is_pack_size else ''}"
        if shown.size_bytes
        else "",
        f"👤 {shown.seeders}" if shown.seeders is not None else "",
        f"⚙️ {_line(shown.tracker)}" if shown.tracker else "",
    ]
    lines = [
        f"📄 {name}",
        f"📁 {file_name}" if file_name not in {"", name} else "",
        " · ".join(codec),
        f"🔊 {' '.join(sound)}" if sound else "",
        " ".join(filter(None, facts)),
        f"🌐 {' '.join(release.languages)}" if release.languages else "",
    ]
    return "\n".join(filter(None, lines))


def _picture(release: Release) -> str:
    return " ".join([*_known(Resolution(release.resolution)), *_labels(Hdr(release.hdr))])


def _known(*codes: Resolution | Source | Codec | Channels) -> list[str]:
    return [code.label for code in codes if code]


# Remembered, as taking bits apart was more than half of the work on an entry.
@lru_cache(maxsize=1_000, typed=True)
def _labels(bits: Hdr | Audio) -> tuple[str, ...]:
    return bits.labels


def _binge_group(release: Release) -> str:
    """Name what the next episode should share: stable across episodes, specific in quality."""
    parts = _known(Resolution(release.resolution), Source(release.source), Codec(release.codec))
    return "|".join(["chillproxy", *parts, *_labels(Hdr(release.hdr)), release.group]).lower()


def _size(size_bytes: int) -> str:
    value = float(size_bytes)
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.2f} GB"
