"""Every setting of the program, with its default and meaning; nothing else reads the environment.

A setting is one field of `Settings`: its name in capitals is the name in the environment, its
annotation says how it is read and what it means, and the README's table is checked against it.
"""

import base64
import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from rapidfuzz.distance import OSA

from infra import setting_values as form
from infra.env_file import parse_env
from infra.errors import AppError
from infra.secret import Secret
from infra.secret_files import read_or_create
from infra.setting_values import (
    QUALITIES,
    ApiKey,
    BadValue,
    ConfiguredAddon,
    Demo,
    EmbedProvider,
    Indexer,
    ListSetting,
    LogFormat,
    LogLevel,
    Network,
    OwnTokens,
    ProviderStrategy,
    Quality,
    RingKey,
    Setting,
    StoreRate,
    StreamProxy,
)

_INSIDE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7",
    )
)  # fmt: skip
_LONGEST_FILE = 64 * 1024


class SettingsInvalid(AppError):
    """Settings that the program cannot start with.

    Attributes:
        mistakes: one line each, `NAME: what is wrong, what is expected`, without any secret.
    """

    code = "settings_invalid"

    def __init__(self, mistakes: tuple[str, ...]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, read and checked; tests make one with the few that they care for.

    Attributes:
        warnings: what the operator should hear of at start, though nothing is wrong with it.
    """

    warnings: tuple[str, ...] = ()

    # Server
    base_url: Annotated[
        str,
        Setting(
            read=form.base_url,
            meaning="Where people reach this server; all links are made from it. It may end in a "
            "path. Stremio wants https for anything but this machine. Unless set, it follows "
            "`PORT`.",
        ),
    ] = "http://127.0.0.1:8080"
    host: Annotated[
        str, Setting(read=form.host, meaning="Address to listen on; the image sets `0.0.0.0`.")
    ] = "127.0.0.1"
    port: Annotated[
        int,
        Setting(read=form.whole(0, 65_535), meaning="Port to listen on; `0` takes any free one."),
    ] = 8080
    trusted_proxies: Annotated[
        tuple[Network, ...],
        ListSetting(
            read=form.network,
            meaning="Networks of reverse proxies whose forwarding headers are believed.",
        ),
    ] = ()
    data_dir: Annotated[
        Path,
        Setting(
            read=form.path,
            default="./data",
            meaning="Directory of everything kept in files: generated secrets, the embedded "
            "database, usage events on their way. Mode 0700.",
        ),
    ] = Path("data")
    database_url: Annotated[
        Secret | None,
        Setting(
            read=form.database_url,
            is_secret=True,
            meaning="Postgres (15 or later) to use; unset runs an embedded one.",
        ),
    ] = None
    database_direct_url: Annotated[
        Secret | None,
        Setting(
            read=form.database_url,
            is_secret=True,
            meaning="The same database past its connection pooler, for LISTEN, migrations and "
            "the worker; unset takes `DATABASE_URL`.",
        ),
    ] = None
    log_level: Annotated[
        LogLevel,
        Setting(
            read=form.one_of(get_args(LogLevel)),
            meaning="Least level that is logged: `debug`, `info`, `warning` or `error`.",
        ),
    ] = "info"
    log_format: Annotated[
        LogFormat,
        Setting(
            read=form.one_of(get_args(LogFormat)),
            meaning="`json`, `console` (for people), or `auto`: console on a terminal, else json.",
        ),
    ] = "auto"
    demo: Annotated[
        Demo,
        Setting(
            read=form.one_of(get_args(Demo)),
            meaning="Demo store with clips of our own: `on`, `off`, or `auto`: as long as the "
            "pool has no key.",
        ),
    ] = "auto"
    addon_name: Annotated[str, Setting(read=form.label, meaning="Name that Stremio shows.")] = (
        "Chillproxy"
    )

    # Pool
    enable_chillstreams_auth: Annotated[
        bool,
        Setting(
            read=form.boolean,
            meaning="Whether `auth` in a config opens the pool. Without it only own tokens work.",
        ),
    ] = True
    chillstreams_api_url: Annotated[
        str | None,
        Setting(
            read=form.base_url,
            meaning="Pool on another server; unset runs the pool in this process.",
        ),
    ] = None
    chillstreams_api_key: Annotated[
        tuple[ApiKey, ...],
        ListSetting(
            read=form.api_key,
            combine=form.api_keys,
            is_secret=True,
            default="generated",
            meaning="Bearer of the internal API. `secret` may do everything, `scope:secret` only "
            "that (`pool`, `key:read`, `admin`); several work side by side while one is replaced. "
            "Towards another server the first is sent.",
        ),
    ] = ()
    internal_api_networks: Annotated[
        tuple[Network, ...],
        ListSetting(read=form.network, meaning="Networks that may call the internal API at all."),
    ] = _INSIDE
    pool_timeout: Annotated[
        timedelta,
        Setting(read=form.duration(0.05, 60), meaning="Longest wait for the pool's answer."),
    ] = timedelta(seconds=5)
    own_tokens: Annotated[
        OwnTokens,
        Setting(
            read=form.one_of(get_args(OwnTokens)),
            meaning="Who may bring an own debrid token: `everyone`, `users` (beside a valid "
            "`auth`), or nobody (`off`).",
        ),
    ] = "everyone"
    app_secret: Annotated[
        tuple[RingKey, ...],
        ListSetting(
            read=form.ring_key,
            combine=form.ring,
            is_secret=True,
            default="generated",
            meaning="Ring `id:base64[,id:base64]` behind play links, saved configs and device "
            "prints; the same on every server and role. The first key seals, all open: keep an "
            "old one for 180 days.",
        ),
    ] = ()
    pool_kek: Annotated[
        tuple[RingKey, ...],
        ListSetting(
            read=form.ring_key,
            combine=form.ring,
            is_secret=True,
            default="generated",
            meaning="Ring `id:base64[,id:base64]` that encrypts the pool's keys and signs the "
            "audit log and admin sessions; needed only where the pool runs.",
        ),
    ] = ()

    # Operators
    admin_username: Annotated[str, Setting(read=form.label, meaning="Name of the first admin.")] = (
        "admin"
    )
    admin_password: Annotated[
        Secret | None,
        Setting(
            read=form.passphrase,
            is_secret=True,
            default="generated",
            meaning="Password of the first admin.",
        ),
    ] = None
    admin_port: Annotated[
        int | None,
        Setting(
            read=form.whole(0, 65_535),
            meaning="Port of its own for the admin API and pages; unset serves them on `PORT`.",
        ),
    ] = None
    metrics_token: Annotated[
        Secret | None,
        Setting(
            read=form.token,
            is_secret=True,
            meaning="Bearer for `/metrics`; unset lets only this machine read them.",
        ),
    ] = None
    alert_webhook_url: Annotated[
        Secret | None,
        Setting(
            read=form.secret_url,
            is_secret=True,
            meaning="Where alerts are posted, such as the loss of a provider's last key.",
        ),
    ] = None

    # Debrid stores
    torbox_base_url: Annotated[str, Setting(read=form.base_url, meaning="API of TorBox.")] = (
        "https://api.torbox.app/v1/api"
    )
    real_debrid_base_url: Annotated[
        str, Setting(read=form.base_url, meaning="API of Real-Debrid.")
    ] = "https://api.real-debrid.com/rest/1.0"
    all_debrid_base_url: Annotated[
        str, Setting(read=form.base_url, meaning="API of AllDebrid, without `/v4`.")
    ] = "https://api.alldebrid.com"
    premiumize_base_url: Annotated[
        str, Setting(read=form.base_url, meaning="API of Premiumize.")
    ] = "https://www.premiumize.me/api"
    debrid_link_base_url: Annotated[
        str, Setting(read=form.base_url, meaning="API of Debrid-Link.")
    ] = "https://debrid-link.com/api/v2"
    torbox_api_key: Annotated[
        Secret | None,
        Setting(
            read=form.token,
            is_secret=True,
            meaning="The server's own TorBox account, for provider status, admin jobs and the "
            "movie catalogue; no user plays on it.",
        ),
    ] = None
    real_debrid_api_key: Annotated[
        Secret | None,
        Setting(read=form.token, is_secret=True, meaning="The same at Real-Debrid."),
    ] = None
    all_debrid_api_key: Annotated[
        Secret | None,
        Setting(read=form.token, is_secret=True, meaning="The same at AllDebrid."),
    ] = None
    premiumize_api_key: Annotated[
        Secret | None,
        Setting(read=form.token, is_secret=True, meaning="The same at Premiumize."),
    ] = None
    debrid_link_api_key: Annotated[
        Secret | None,
        Setting(read=form.token, is_secret=True, meaning="The same at Debrid-Link."),
    ] = None
    user_ip: Annotated[
        str | None,
        Setting(
            read=form.address,
            meaning="Address that stores are told for calls on the server's accounts.",
        ),
    ] = None
    store_timeout: Annotated[
        timedelta,
        Setting(read=form.duration(0.05, 120), meaning="Longest wait for a store's answer."),
    ] = timedelta(seconds=10)
    store_retries: Annotated[
        int,
        Setting(read=form.whole(0, 10), meaning="How often a failed call to a store is repeated."),
    ] = 3
    store_rates: Annotated[
        dict[str, StoreRate],
        ListSetting(
            read=form.store_rate,
            combine=form.store_rates,
            default="80 % of the published limits",
            meaning="Calls a key may make: `realdebrid=200/min:5` is a rate (per `s`, `min` or "
            "`h`) and, if wanted, a burst.",
        ),
    ] = {}
    provider_strategy: Annotated[
        ProviderStrategy,
        Setting(
            read=form.one_of(get_args(ProviderStrategy)),
            meaning="How the next store is chosen: `priority`, in the order that is set.",
        ),
    ] = "priority"

    # Sources
    torznab_indexers: Annotated[
        tuple[Indexer, ...],
        ListSetting(
            read=form.indexer,
            combine=form.indexers,
            is_secret=True,
            meaning="Torznab endpoints for all users, `name|url|apikey` each; the URL goes up to "
            "the `?`.",
        ),
    ] = ()
    prowlarr_url: Annotated[
        str | None, Setting(read=form.base_url, meaning="Prowlarr to search for all users.")
    ] = None
    prowlarr_api_key: Annotated[
        Secret | None, Setting(read=form.token, is_secret=True, meaning="Key of that Prowlarr.")
    ] = None
    zilean_url: Annotated[
        str | None, Setting(read=form.base_url, meaning="Zilean to search for all users.")
    ] = None
    upstream_addons: Annotated[
        tuple[ConfiguredAddon, ...],
        ListSetting(
            read=form.addon,
            combine=form.addons,
            is_secret=True,
            meaning="Other stream addons to ask for all users: manifest URLs, or `name|url`.",
        ),
    ] = ()
    user_indexers: Annotated[
        bool,
        Setting(
            read=form.boolean,
            default="off",
            meaning="Whether users may bring indexers of their own (`on`, `off`).",
        ),
    ] = False

    # Metadata
    cinemeta_url: Annotated[str, Setting(read=form.base_url, meaning="Cinemeta, for titles.")] = (
        "https://v3-cinemeta.strem.io"
    )
    tmdb_base_url: Annotated[str, Setting(read=form.base_url, meaning="API of TMDB.")] = (
        "https://api.themoviedb.org/3"
    )
    tmdb_api_key: Annotated[
        Secret | None,
        Setting(
            read=form.token,
            is_secret=True,
            meaning="TMDB key or read token; needed for the stream API and the movie catalogue.",
        ),
    ] = None
    anime_map_file: Annotated[
        Path | None,
        Setting(read=form.path, meaning="File that maps anime ids onto each other."),
    ] = None

    # Stream API
    subtitle_addons: Annotated[
        tuple[ConfiguredAddon, ...],
        ListSetting(
            read=form.addon,
            combine=form.addons,
            is_secret=True,
            meaning="Subtitle addons to ask: manifest URLs, or `name|url`.",
        ),
    ] = ()
    stream_api_public: Annotated[
        bool, Setting(read=form.boolean, meaning="Whether the stream API answers without a login.")
    ] = False
    cors_origins: Annotated[
        tuple[str, ...],
        ListSetting(
            read=form.origin, meaning="Web pages that may call the JSON API from a browser."
        ),
    ] = ()
    embed_providers: Annotated[
        tuple[EmbedProvider, ...],
        ListSetting(
            read=form.embed_provider,
            combine=form.embed_providers,
            meaning="Pages that embed a player, `name|template` each, with `{tmdb_id}` or "
            "`{imdb_id}` in the template.",
        ),
    ] = ()

    # Movie catalogue
    target_quality: Annotated[
        Quality,
        Setting(
            read=form.one_of(QUALITIES),
            meaning="Quality that a film is upgraded to: `CAM`, `SD`, `720p`, `1080p`, `1440p` "
            "or `2160p`.",
        ),
    ] = "2160p"
    allow_lower_quality_until_upgrade: Annotated[
        bool,
        Setting(
            read=form.boolean, meaning="Whether a film is published below the target meanwhile."
        ),
    ] = True
    min_quality_to_publish: Annotated[
        Quality,
        Setting(read=form.one_of(QUALITIES), meaning="Least quality that is ever published."),
    ] = "720p"
    ingest_discover_cron: Annotated[
        str, Setting(read=form.cron, meaning="When new films are looked for (cron, UTC).")
    ] = "*/30 * * * *"
    ingest_refresh_cron: Annotated[
        str, Setting(read=form.cron, meaning="When better versions are looked for (cron, UTC).")
    ] = "0 */6 * * *"
    ingest_reverify_cron: Annotated[
        str,
        Setting(read=form.cron, meaning="When published versions are checked again (cron, UTC)."),
    ] = "0 */12 * * *"
    rate_limit_rps: Annotated[
        int,
        Setting(
            read=form.whole(1, 100), meaning="Calls a second that the catalogue makes to TMDB."
        ),
    ] = 3
    grace_period_hours: Annotated[
        int,
        Setting(read=form.whole(0, 8760), meaning="Hours that a replaced version is kept."),
    ] = 24
    max_retry_attempts: Annotated[
        int,
        Setting(read=form.whole(0, 20), meaning="How often a failed catalogue job is repeated."),
    ] = 3
    tmdb_regions: Annotated[
        tuple[str, ...],
        ListSetting(read=form.region, meaning="Countries whose films are discovered."),
    ] = ("US",)
    tmdb_pages: Annotated[
        int, Setting(read=form.whole(1, 500), meaning="Pages of films read at each discovery.")
    ] = 2

    # Limits
    rate_limit_requests: Annotated[
        int,
        Setting(
            read=form.whole(1, 1_000_000),
            meaning="Calls of the stream API and of `/api/movies` that an address may make in "
            "`RATE_LIMIT_WINDOW`.",
        ),
    ] = 100
    rate_limit_window: Annotated[
        timedelta, Setting(read=form.duration(1, 86_400), meaning="The span of that limit.")
    ] = timedelta(seconds=60)
    lists_per_user: Annotated[
        int, Setting(read=form.whole(1, 100_000), meaning="Stream lists a minute for one user.")
    ] = 30
    lists_per_network: Annotated[
        int, Setting(read=form.whole(1, 100_000), meaning="Stream lists a minute for one network.")
    ] = 60
    ipv6_prefix: Annotated[
        int,
        Setting(read=form.whole(48, 64), meaning="Bits of an IPv6 address that make one network."),
    ] = 64
    aggregator_secrets: Annotated[
        tuple[Secret, ...],
        ListSetting(
            read=form.token,
            is_secret=True,
            meaning="Secrets of aggregators, which may state their user's address and are not "
            "limited as one network.",
        ),
    ] = ()

    # Playback and usage
    stream_proxy: Annotated[
        StreamProxy,
        Setting(
            read=form.one_of(get_args(StreamProxy)),
            meaning="Whose bytes pass through this server: nobody's (`off`), those of users who "
            "ask for it (`own`), or `all`.",
        ),
    ] = "off"
    item_cleanup: Annotated[
        timedelta | None,
        Setting(
            read=form.item_cleanup,
            default="ours-after-7d",
            meaning="When torrents that this server added are deleted at the store: "
            "`ours-after-<days>d` after their last use, or `off`.",
        ),
    ] = timedelta(days=7)
    usage_fsync_ms: Annotated[
        int,
        Setting(
            read=form.whole(1, 60_000),
            meaning="Milliseconds of usage events that a loss of power may take.",
        ),
    ] = 1000
    usage_retention_days: Annotated[
        int, Setting(read=form.whole(1, 3650), meaning="Days that single usage events are kept.")
    ] = 30

    @property
    def is_embedded_database(self) -> bool:
        """Tell whether the server runs a Postgres of its own."""
        return self.database_url is None

    @property
    def is_embedded_pool(self) -> bool:
        """Tell whether the pool runs here rather than on another server."""
        return self.chillstreams_api_url is None

    @property
    def direct_database_url(self) -> Secret | None:
        """The database past any connection pooler; None for the embedded one."""
        return self.database_direct_url or self.database_url

    @property
    def store_base_urls(self) -> dict[str, str]:
        """The API of each debrid store, by the store's name."""
        return {
            "torbox": self.torbox_base_url,
            "realdebrid": self.real_debrid_base_url,
            "alldebrid": self.all_debrid_base_url,
            "premiumize": self.premiumize_base_url,
            "debridlink": self.debrid_link_base_url,
        }

    @property
    def store_keys(self) -> dict[str, Secret]:
        """The keys of the server's own accounts, by the store's name; only those that are set."""
        keys = {
            "torbox": self.torbox_api_key,
            "realdebrid": self.real_debrid_api_key,
            "alldebrid": self.all_debrid_api_key,
            "premiumize": self.premiumize_api_key,
            "debridlink": self.debrid_link_api_key,
        }
        return {store: key for store, key in keys.items() if key is not None}

    def all_secrets(self) -> Iterator[Secret]:
        """Yield every secret, for the finder that keeps them out of logs and replies."""
        for field in self.__struct_fields__:
            yield from _secrets_in(getattr(self, field))


class SettingRow(msgspec.Struct, frozen=True):
    """What the documentation says of one setting."""

    name: str
    default: str
    meaning: str


def describe() -> list[SettingRow]:
    """Return every setting with its default and meaning, in the order of the fields."""
    defaults = Settings()
    return [
        SettingRow(
            name,
            setting.default or _default_text(getattr(defaults, name.lower())),
            setting.meaning,
        )
        for name, setting in _settings().items()
    ]


def load_settings(
    environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """Read all settings; the environment wins over the file, and an empty value counts as unset.

    Args:
        environ: the environment; None takes the one of this process.
        env_file: may be missing; None reads no file.

    Raises:
        SettingsInvalid: with every mistake.
    """
    environ = os.environ if environ is None else environ
    written, mistakes = _read_env_file(env_file)
    values: dict[str, object] = {}
    broken: set[str] = set()
    for name, setting in _settings().items():
        try:
            text = _text_of(name, setting, environ) or _text_of(name, setting, written)
            if text:
                values[name.lower()] = setting.parse(text)
        except BadValue as wrong:
            broken.add(name)
            mistakes.extend(f"{name}: {message}" for message in wrong.messages)
    if "base_url" not in values and "port" in values:
        values["base_url"] = f"http://127.0.0.1:{values['port']}"
    settings = msgspec.structs.replace(Settings(), **values)
    mistakes.extend(_contradictions(settings, broken))
    if mistakes:
        raise SettingsInvalid(tuple(mistakes))
    return msgspec.structs.replace(settings, warnings=(*_misspelt(environ), *_doubts(settings)))


def with_generated_secrets(settings: Settings, data_dir: Path) -> Settings:
    """Fill in the secrets that are not set, from files that are made at the first start.

    The pool's own secrets are made only where the pool runs. A file that cannot be read as what
    it should be is an error and stays as it is: a new secret would lose all that the old one has
    sealed.

    Raises:
        SettingsInvalid: a file is damaged, or cannot be read or made.
    """
    values: dict[str, object] = {}
    mistakes: list[str] = []
    for generated in _GENERATED:
        name = generated.name
        if getattr(settings, name.lower()) or (
            generated.is_of_pool and not settings.is_embedded_pool
        ):
            continue
        try:
            values[name.lower()] = generated.read(data_dir)
        except BadValue as wrong:
            mistakes.extend(f"{name}: {message}" for message in wrong.messages)
    if mistakes:
        raise SettingsInvalid(tuple(mistakes))
    return msgspec.structs.replace(settings, **values)


@dataclass(frozen=True, slots=True)
class _Generated:
    """A secret that is kept in a file of DATA_DIR unless it is set."""

    name: str
    file: str
    is_of_pool: bool
    make: Callable[[], str]
    shape: re.Pattern[str]

    def read(self, data_dir: Path) -> object:
        """Return the value; the file is made when there is none."""
        try:
            text = read_or_create(data_dir / self.file, self.make).strip()
        except OSError as error:
            raise BadValue(
                f"the file {self.file} in DATA_DIR cannot be read or made "
                f"({error.strerror}), expected a directory that this user owns"
            ) from None
        except UnicodeDecodeError:
            text = ""
        try:
            if self.shape.fullmatch(text) is not None:
                return _settings()[self.name].parse(text)
        except BadValue:
            pass
        raise BadValue(
            f"the file {self.file} in DATA_DIR is damaged, expected what was written at the first "
            "start; put it back from a backup (a new one cannot open what the old one sealed)"
        )


def _new_ring() -> str:
    return f"{secrets.token_hex(3)}:{base64.b64encode(secrets.token_bytes(32)).decode()}\n"


def _new_api_key() -> str:
    return f"{secrets.token_urlsafe(32)}\n"


_RING_SHAPE = re.compile(r"\S+:\S+")
_GENERATED = (
    _Generated("APP_SECRET", "app_secret", False, _new_ring, _RING_SHAPE),
    _Generated("POOL_KEK", "pool_kek", True, _new_ring, _RING_SHAPE),
    _Generated(
        "CHILLSTREAMS_API_KEY",
        "internal_api_key",
        True,
        _new_api_key,
        # Half a key would still be a key, so the length tells whether the file is whole.
        re.compile(r"[A-Za-z0-9_-]{43}"),
    ),
)


@cache
def _settings() -> dict[str, Setting]:
    """Return how each setting is read, by its name in the environment."""
    hints = get_type_hints(Settings, include_extras=True)
    return {
        field.upper(): note
        for field, hint in hints.items()
        for note in getattr(hint, "__metadata__", ())
    }


@cache
def _names() -> frozenset[str]:
    """Return every name that means something in the environment."""
    files = (f"{name}_FILE" for name, setting in _settings().items() if setting.is_secret)
    return frozenset(_settings()).union(files)


def _read_env_file(env_file: Path | None) -> tuple[dict[str, str], list[str]]:
    """Return the values of the file, and what is wrong with the file itself."""
    if env_file is None:
        return {}, []
    try:
        found = parse_env(env_file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError):
        return {}, [f"{env_file.name}: cannot be read, expected a text file in UTF-8"]
    mistakes = [f"{env_file.name}: {mistake}" for mistake in found.mistakes]
    for name, entry in found.entries.items():
        if name not in _names():
            mistakes.append(f"{env_file.name}: line {entry.line}: {_unknown(name)}")
    return {name: entry.value for name, entry in found.entries.items()}, mistakes


def _unknown(name: str) -> str:
    # A line of a secret that lost its quotes can look like a name, so others are not repeated.
    close = _closest(name)
    if close is not None:
        return f"{name} is not a setting, expected {close}"
    return "not a setting, expected a name of the README's table"


def _text_of(name: str, setting: Setting, source: Mapping[str, str]) -> str:
    """Return what a source says of a setting, itself or by `NAME_FILE`; empty for nothing."""
    text = source.get(name, "")
    file = source.get(f"{name}_FILE", "") if setting.is_secret else ""
    if text.strip() and file:
        raise BadValue(f"set twice, expected either {name} or {name}_FILE")
    if file:
        return _content_of(name, Path(file))
    return text if text.strip() else ""


def _content_of(name: str, file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(_LONGEST_FILE + 1)
    except (OSError, ValueError):
        raise BadValue(f"{name}_FILE cannot be read, expected the path of a text file") from None
    if not text.strip() or len(text) > _LONGEST_FILE:
        raise BadValue(f"{name}_FILE is empty or too long, expected the secret alone in it")
    return text.removesuffix("\n").removesuffix("\r")


def _contradictions(settings: Settings, broken: set[str]) -> Iterator[str]:
    """Yield what is wrong between settings; those that could not be read are passed over."""
    rank = QUALITIES.index
    remote_pool = settings.enable_chillstreams_auth and not settings.is_embedded_pool
    for name, other, is_wrong, message in (
        (
            "CHILLSTREAMS_API_KEY", "CHILLSTREAMS_API_URL",
            remote_pool and not settings.chillstreams_api_key,
            "not set, expected the key that the pool at CHILLSTREAMS_API_URL asks for",
        ),
        (
            "PROWLARR_API_KEY", "PROWLARR_URL",
            settings.prowlarr_url is not None and settings.prowlarr_api_key is None,
            "not set, expected the key of the Prowlarr at PROWLARR_URL",
        ),
        (
            "DATABASE_URL", "DATABASE_DIRECT_URL",
            settings.database_url is None and settings.database_direct_url is not None,
            "not set, expected it beside DATABASE_DIRECT_URL",
        ),
        (
            "MIN_QUALITY_TO_PUBLISH", "TARGET_QUALITY",
            rank(settings.min_quality_to_publish) > rank(settings.target_quality),
            "above TARGET_QUALITY, expected at most that",
        ),
    ):  # fmt: skip
        if is_wrong and not broken & {name, other}:
            yield f"{name}: {message}"


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(set(environ) - _names()):
        close = _closest(name)
        if close is not None:
            yield f"{name}: not a setting, and much like {close}"


def _closest(name: str) -> str | None:
    """Return the name of ours that another is a slip of; short names have no slips."""
    bare = _bare(name)
    close = min(sorted(_names()), key=lambda known: OSA.distance(bare, _bare(known)))
    return close if OSA.distance(bare, _bare(close)) <= min(2, len(bare) // 7) else None


def _bare(name: str) -> str:
    return name.upper().replace("_", "")


def _doubts(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but seldom meant."""
    if settings.base_url.startswith("http:") and not _is_this_machine(settings.base_url):
        yield "BASE_URL: plain http, and Stremio wants https for anything but this machine"
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield "TRUSTED_PROXIES: everybody is trusted, so anybody can pretend any address"
    for name, shortest, found in (
        ("CHILLSTREAMS_API_KEY", 16, [key.secret for key in settings.chillstreams_api_key]),
        ("ADMIN_PASSWORD", 12, [settings.admin_password]),
        ("METRICS_TOKEN", 16, [settings.metrics_token]),
        ("AGGREGATOR_SECRETS", 16, settings.aggregator_secrets),
    ):
        if any(secret is not None and len(secret.reveal()) < shortest for secret in found):
            yield f"{name}: easy to guess, {shortest} characters or more are better"


def _is_this_machine(url: str) -> bool:
    name = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def _default_text(value: object) -> str:
    """Return a default as it would be written in the environment."""
    if value is None or value in ((), {}):
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _secrets_in(value: object) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            yield from _secrets_in(getattr(value, field))
    elif isinstance(value, tuple):
        for entry in value:
            yield from _secrets_in(entry)
