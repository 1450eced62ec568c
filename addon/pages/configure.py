"""The page on which a person makes an addon URL, or changes one.

It builds the URL in the browser: what is typed there is sent only to save it as a short link.
"""

from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from addon.pages.render import page
from addon.saved_configs import SEGMENT
from addon.services import Services, State
from addon.stores import STORES, demo
from addon.stores.base import StoreInfo
from addon.titles.languages import CODES
from addon.titles.rank import SORT_WORDS
from addon.titles.vocabulary import QualityClass, Source
from addon.user_config import Filter, decode_config_json, read_config_json
from infra.errors import ConfigInvalid, DatabaseUnavailable
from infra.qr import qr_code

_QR_CHARACTERS = 1_000  # a denser code is hard to read from a screen


class Choice(msgspec.Struct, frozen=True):
    """A word of the configuration and what the page calls it."""

    word: str
    title: str
    note: str = ""


_RESOLUTIONS = (
    Choice(QualityClass.P2160.label, "2160p", "4K"),
    Choice(QualityClass.P1440.label, "1440p"),
    Choice(QualityClass.P1080.label, "1080p"),
    Choice(QualityClass.P720.label, "720p"),
    Choice(QualityClass.SD.label, "SD", "below 720p"),
    Choice(QualityClass.UNKNOWN.label, "Unknown"),
)
_QUALITIES = (
    Choice(QualityClass.CAM.label, "CAM", "filmed in a cinema"),
    Choice(Source.HDTV.label, "HDTV"),
    Choice(Source.DVD_RIP.label, "DVDRip"),
    Choice(Source.WEB_RIP.label, "WEBRip"),
    Choice(Source.BLURAY.label, "BluRay"),
    Choice(Source.REMUX.label, "REMUX", "very large"),
)
_SORT_TITLES = {
    "resolution": ("Highest resolution", "Lowest resolution"),
    "quality": ("Best source", "Plainest source"),
    "size": ("Largest file", "Smallest file"),
    "hdr": ("Best HDR", "No HDR"),
    "seeders": ("Most seeders", "Fewest seeders"),
    "language": ("My languages", "Other languages"),
}
_SORTS = tuple(
    Choice(f"{sign}{word}", _SORT_TITLES[word][place])
    for word in SORT_WORDS
    for place, sign in enumerate(("-", ""))
)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL brings to the page.

    Attributes:
        segment: of the URL; empty without a config.
        text: the config as JSON, for the form; empty for a saved one, which has to be unlocked.
        is_saved: it is kept on the server, and there.
        problem: why it cannot be shown.
        status: of the answer.
    """

    segment: str = ""
    text: str = ""
    is_saved: bool = False
    problem: str = ""
    status: int = 200


async def to_configure(request: Request[State]) -> Response:
    """Lead to the page."""
    return RedirectResponse(request.state["services"].urls.configure(), 302)


async def empty(request: Request[State]) -> Response:
    """Show the page for a new URL."""
    return _page(request.state["services"], Given())


async def filled(request: Request[State]) -> Response:
    """Show the page for a URL that somebody has."""
    services = request.state["services"]
    segment = request.path_params["config"]
    given = await _saved(services, segment) if segment.startswith(SEGMENT) else _plain(segment)
    return _page(services, given)


def _plain(segment: str) -> Given:
    try:
        text = read_config_json(segment)
        decode_config_json(text)
    except ConfigInvalid as error:
        return Given(problem=f"This link cannot be read: {error.message}.", status=400)
    return Given(segment=segment, text=text.decode())


async def _saved(services: Services, segment: str) -> Given:
    try:
        await services.configs.read(segment)
    except ConfigInvalid:
        return Given(problem="This short link is not there, or no longer.", status=404)
    except DatabaseUnavailable:
        return Given(problem="Short links cannot be read just now. Try again soon.", status=503)
    return Given(segment=segment, is_saved=True)


def _page(services: Services, given: Given) -> Response:
    settings, urls = services.settings, services.urls
    own_page = urls.configure(given.segment)
    has_code = bool(given.segment) and len(own_page) <= _QR_CHARACTERS
    return page(
        "configure.html",
        given.status,
        given=given,
        addon_name=settings.addon_name,
        base=urls.base,
        prefix=urls.prefix,
        saved_id=given.segment.removeprefix(SEGMENT) if given.is_saved else "",
        segment=quote(given.segment, safe=""),
        qr=qr_code(own_page) if has_code else "",
        stores=_stores(services),
        takes_auth=settings.enable_chillstreams_auth,
        takes_tokens=settings.own_tokens != "off",
        tokens_need_auth=settings.own_tokens == "users",
        resolutions=_RESOLUTIONS,
        qualities=_QUALITIES,
        sorts=_SORTS,
        languages=" ".join(sorted(CODES)),
        usual=Filter(),
    )


def _stores(services: Services) -> list[StoreInfo]:
    return [
        offer.info for offer in STORES if services.demo.is_on or offer.info.name != demo.INFO.name
    ]


BELOW_ADDON = [
    Route("/stremio/torz/configure", empty),
    Route("/stremio/torz/{config:path}/configure", filled),
]
ROUTES = [
    Route("/", to_configure),
    Route("/configure", empty),
]
