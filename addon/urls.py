"""Makes and reads every URL of ours. Absolute ones come from BASE_URL alone."""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import msgspec

MANIFEST_ROUTES = ("/manifest.json", "/stremio/torz/manifest.json")
_MANIFEST = re.compile(r"/stremio/torz/(?P<config>.+)/manifest\.json", re.DOTALL)
# Greedy: a config in the standard alphabet may hold slashes of its own.
_STREAM = re.compile(
    r"/stremio/torz/(?:(?P<config>.+)/)?stream/(?P<kind>[^/]+)/(?P<id>[^/]+?)"
    r"(?:/(?P<extra>[^/]*))?\.json",
    re.DOTALL,
)
_MAX_FILE_NAME = 80
_ENDING = re.compile(r"[A-Za-z0-9]{1,5}")
_UNPLAIN = re.compile(r"[^A-Za-z0-9_-]+")


class StreamRequest(msgspec.Struct, frozen=True):
    """The parts of a stream path, percent-decoded; `config` is empty when there is none."""

    config: str
    kind: str
    id: str


def read_stream_path(path: str) -> StreamRequest | None:
    """Read the path of a stream list; None for any other path."""
    match = _STREAM.fullmatch(path)
    return (
        None if match is None else StreamRequest(match["config"] or "", match["kind"], match["id"])
    )


def read_manifest_path(path: str) -> str | None:
    """Return the config of a manifest path; empty for the one without, None for another path."""
    if path in MANIFEST_ROUTES:
        return ""
    match = _MANIFEST.fullmatch(path)
    return None if match is None else match["config"]


@dataclass(frozen=True, slots=True)
class Urls:
    """URLs below the public address of the server: `https://host/prefix`, no slash at the end."""

    base: str

    @property
    def prefix(self) -> str:
        """The path part of the address, often empty."""
        return urlsplit(self.base).path

    def manifest(self, config: str) -> str:
        """Return what a person installs."""
        return f"{self.base}/stremio/torz/{quote(config, safe='')}/manifest.json"

    def configure(self, config: str = "") -> str:
        """Return the page where a person makes or changes a config."""
        segment = f"{quote(config, safe='')}/" if config else ""
        return f"{self.base}/stremio/torz/{segment}configure"

    def stream(self, config: str, kind: str, media: str) -> str:
        """Return the stream list of a film or an episode."""
        return f"{self.base}/stremio/torz/{quote(config, safe='')}/stream/{kind}/{media}.json"

    def play_head(self) -> str:
        """Return what stands before the first half of a play URL."""
        return f"{self.base}/stremio/play/"

    @staticmethod
    def play_tail(what: str, file_name: str) -> str:
        """Return what stands after the first half: `/{what}/{filename}`."""
        return f"/{what}/{plain_file_name(file_name)}"

    def notice(self, code: str) -> str:
        """Return the clip that explains a code."""
        return f"{self.base}/stremio/notice/{code}.mp4"


def plain_file_name(path: str) -> str:
    """Return the last part of a path as a short URL segment: letters, digits and `._-`.

    It is never empty and holds nothing to encode, so its length is its length in a URL.
    """
    name = base_name(path)
    stem, dot, ending = name.rpartition(".")
    if not dot or not _ENDING.fullmatch(ending):
        stem, ending = name, ""
    folded = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    room = _MAX_FILE_NAME - len(ending) - 1
    plain = _UNPLAIN.sub(".", folded).strip(".")[:room].rstrip(".") or "video"
    return f"{plain}.{ending}" if ending else plain


def base_name(path: str) -> str:
    """Return the last part of a path of any system."""
    return path.replace("\\", "/").rpartition("/")[2]
