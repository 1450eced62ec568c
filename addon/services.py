"""Everything that a request may need, opened once by `app` and handed to the routes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from addon.accounts.credentials import Accounts
from addon.device import DeviceReader
from addon.play_token import PlayTokens
from addon.playback.resolve import Playback
from addon.saved_configs import ConfigReader, EditAttempts, SavedConfigs
from addon.streams.assemble import StreamLists
from addon.urls import Urls
from infra.db import Database
from infra.limits import RateLimit
from infra.metrics import Registry
from infra.scrypt import Scrypt
from infra.settings import Settings
from infra.spool import Spool


@dataclass(slots=True)
class DemoSwitch:
    """Whether the demo is on just now; `app` keeps it so."""

    is_on: bool


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
    configs: ConfigReader
    saved_configs: SavedConfigs
    edit_attempts: EditAttempts
    passwords: Scrypt
    demo: DemoSwitch
    spool: Spool
    lists_per_user: RateLimit
    lists_per_network: RateLimit
    saves_per_network: RateLimit
    metrics: Registry
    is_stopping: Callable[[], bool]


class State(TypedDict):
    """The state of the application, as Starlette types it: `Request[State]`."""

    services: Services
