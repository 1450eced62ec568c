"""How the server starts: settings, secrets, logs, a socket, and what to open in a browser."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from addon import demo
from addon.app import Parts, Ready, create_app
from addon.user_config import encode_user_config
from infra.errors import AppError
from infra.log import configure_logging, get_logger
from infra.secret import Redactor
from infra.server import Listening, listen_on
from infra.server import serve as serve_app
from infra.settings import Settings, load_settings, with_generated_secrets

log = get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """Settings with all secrets, and the redactor that knows them."""

    settings: Settings
    redactor: Redactor


class StartFailed(AppError):
    """The server did not come up."""

    code = "start_failed"


# A database that answers, and lets us not in. Any other error of Postgres is a bug of ours.
_NOT_LET_IN = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
)


def explain(error: BaseException) -> AppError | None:
    """Return what a person should read when this kept us from opening; None for a bug.

    The driver says neither password nor DSN in the texts that are passed on.
    """
    match error:
        case AppError():
            return error
        case OSError(filename=None):  # nothing but the way to the database has no name
            number = error.errno or 0  # below zero: of a resolver, with words of its own
            words = os.strerror(number) if number > 0 else error.strerror or str(error)
            words = words or "no answer in time"
            return StartFailed(f"the database cannot be reached: {words}")
        case OSError():
            return StartFailed(f"{error.filename}: {error.strerror}")
        case asyncpg.PostgresError() if isinstance(error, _NOT_LET_IN):
            return StartFailed(f"the database refuses: {error}")
        case _:
            return None


@dataclass(slots=True)
class _Start:
    """What a start has told so far."""

    say: Callable[[str], None]
    ready: Ready | None = None
    is_stopping: bool = False

    def on_ready(self, ready: Ready) -> None:
        self.ready = ready

    def on_listening(self, _: Listening) -> None:
        if self.ready is not None:
            self.say(banner(self.ready))

    def on_stopping(self) -> None:
        self.is_stopping = True


@dataclass(slots=True)
class _Opening:
    """The application; knows what kept it from opening, and logs a traceback only of a bug."""

    app: ASGIApp
    error: AppError | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        has_failed = False

        async def send_without_traceback(message: Message) -> None:
            nonlocal has_failed
            if message["type"] == "lifespan.startup.failed":
                has_failed = True
                message = {"type": message["type"]}
            await send(message)

        try:
            await self.app(scope, receive, send_without_traceback)
        except Exception as error:
            if has_failed:
                self.error = explain(error)
                if self.error is None:
                    log.exception("start_broke")
            raise


def prepare() -> Prepared:
    """Read the settings, make missing secrets, set up the logs.

    Raises:
        SettingsInvalid: with every mistake.
    """
    settings = load_settings()
    settings = with_generated_secrets(settings, settings.data_dir)
    redactor = Redactor()
    for secret in settings.all_secrets():
        redactor.learn(secret, lasting=True)
    style = settings.log_format
    if style == "auto":
        style = "console" if sys.stderr.isatty() else "json"
    configure_logging(settings.log_level, style, redactor, sys.stderr)
    return Prepared(settings, redactor)


def serve(prepared: Prepared, say: Callable[[str], None]) -> None:
    """Run the server until it is told to stop.

    Raises:
        AppError: it did not come up.
    """
    settings = prepared.settings
    try:
        sockets = listen_on(settings.host, settings.port)
    except OSError as error:
        raise StartFailed(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    settings = _with_port(settings, sockets[0].getsockname()[1])
    for warning in settings.warnings:
        log.warning("settings_doubt", warning=warning)
    start = _Start(say)
    parts = Parts(
        redactor=prepared.redactor,
        say=say,
        on_ready=start.on_ready,
        is_stopping=lambda: start.is_stopping,
    )
    opening = _Opening(create_app(settings, parts))
    try:
        serve_app(
            opening,
            sockets=sockets,
            on_listening=start.on_listening,
            on_stopping=start.on_stopping,
        )
    except SystemExit:  # how uvicorn ends when the application does not open
        said = StartFailed("the server did not start; the log above says why")
        raise opening.error or said from None


def _with_port(settings: Settings, port: int) -> Settings:
    """Put the port that was found into a base URL that follows `PORT=0`; a set one stays."""
    base = urlsplit(settings.base_url)
    if base.port != 0:
        return settings
    url = base._replace(netloc=f"{base.netloc.removesuffix(':0')}:{port}").geturl()
    return msgspec.structs.replace(settings, base_url=url)


def banner(ready: Ready) -> str:
    """Return what a start prints: where things are, and what to try while the demo is on."""
    urls = ready.urls
    lines = ["", f"Chillproxy is ready at {urls.base}"]
    if ready.demo_auth is not None:
        config = encode_user_config(UUID(ready.demo_auth), ["demo"])
        lines += [
            "",
            "Demo: the pool has no key yet, so a demo user plays clips of our own.",
            f"  Install in Stremio   {urls.manifest(config)}",
            f"  A film to try        {urls.stream(config, 'movie', str(demo.FILM))}",
            f"  An episode to try    {urls.stream(config, 'series', str(demo.EPISODE))}",
        ]
    lines += [
        "",
        "Add a key             chillproxy keys add torbox",
        "Add a person          chillproxy users add NAME",
        "",
    ]
    return "\n".join(lines)
