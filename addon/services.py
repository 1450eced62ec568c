"""Everything that a request may need, opened once by `app` and handed to the routes."""

from dataclasses import dataclass
from typing import TypedDict

from addon.accounts.credentials import Accounts
from addon.device import DeviceReader
from addon.play_token import PlayTokens
from addon.playback.resolve import Playback
from addon.streams.assemble import StreamLists
from addon.urls import Urls
from infra.db import Database
from infra.limits import RateLimit
from infra.settings import Settings
from infra.spool import Spool


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a running server."""

    settings: Settings
    urls: Urls
    database: Database
    devices: DeviceReader
    accounts: Accounts
    lists: StreamLists
    playback: Playback
    tokens: PlayTokens
    spool: Spool
    lists_per_user: RateLimit
    lists_per_network: RateLimit


class State(TypedDict):
    """The state of the application, as Starlette types it: `Request[State]`."""

    services: Services
