"""The command line: `chillproxy`. Every command prints for people, or JSON with `--json`.

Exit codes: 0 done, 1 refused or failed, 2 wrong use.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, get_args
from uuid import UUID

import click
import msgspec

from addon import launch
from addon.app import keyring, open_database
from addon.doctor import examine
from addon.stores import STORES
from addon.urls import Urls
from addon.user_config import (
    UserConfig,
    decode_user_config,
    encode_config_json,
    encode_user_config,
)
from chillproxy.devices import Device
from chillproxy.models import Key, NewKey, NewUser, Scope, User
from chillproxy.pool import Pool
from infra.clock import SystemClock
from infra.db import Database
from infra.errors import AppError
from infra.secret import Secret
from infra.settings import Settings

T = TypeVar("T")

_ACTOR = "cli"
_SECRET_CHARACTERS = 1_024
_STORE_NAMES = [offer.info.name for offer in STORES if offer.info.name != "demo"]
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ID = click.IntRange(1, 2**63 - 1)  # what the database counts rows with
_COUNT = click.IntRange(1, 2**31 - 1)


class _Group(click.Group):
    """Prints our own errors as one line; anything else is a bug and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AppError as error:
            click.echo(f"Error: {error.message}", err=True)
            ctx.exit(1)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="chillproxy")
def main() -> None:
    """Chillproxy: a Stremio addon server whose debrid keys stay on the server."""


@main.command()
def serve() -> None:
    """Start the server: database, pool and addon on one port."""
    launch.serve(launch.prepare(), click.echo)


@main.command()
@_as_json
def migrate(as_json: bool) -> None:
    """Bring the database to the version of this program."""
    said: list[str] = []

    async def run() -> None:
        async with _database(launch.prepare().settings, said.append):
            pass

    asyncio.run(run())
    _show(as_json, {"said": said, "upToDate": True}, [*said, "The database is up to date"])


@main.command()
@_as_json
def doctor(as_json: bool) -> None:
    """Look for what would keep the server from working; exit code 1 if there is anything."""
    findings = asyncio.run(examine(launch.prepare().settings))
    lines = [f"{'ok  ' if one.is_well else 'BAD '} {one.subject}: {one.said}" for one in findings]
    _show(as_json, findings, lines)
    if not all(one.is_well for one in findings):
        sys.exit(1)


@main.group()
def keys() -> None:
    """The pool's keys."""


@keys.command("add")
@click.argument("store", type=click.Choice(_STORE_NAMES))
@click.option("--label", default="", help="For people.")
@click.option("--scope", type=click.Choice(get_args(Scope)), default="household", show_default=True)
@click.option("--max-users", type=click.IntRange(1, 1000), help="How many people it may serve.")
@click.option("--max-streams", type=click.IntRange(1, 1000), help="How many plays at once.")
@click.option(
    "--priority",
    type=click.IntRange(-1000, 1000),
    default=0,
    show_default=True,
    help="Higher comes first.",
)
@click.option("--owner", type=_ID, help="Number of the one user it serves.")
@click.option("--accept-terms", metavar="VERSION", help="You have read the provider's terms.")
@click.option(
    "--key-file",
    type=click.File(encoding="utf-8", errors="replace"),
    help="Where the key stands; otherwise it is asked for, or read from standard input.",
)
@_as_json
def keys_add(
    store: str, key_file: Any, accept_terms: str | None, as_json: bool, **how: Any
) -> None:
    """Add a key of STORE to the pool."""
    terms = {"provider": store, "version": accept_terms} if accept_terms else None
    new = NewKey(
        store=store,
        secret=_read_secret(key_file),
        terms_ack=terms,
        label=how["label"],
        scope=how["scope"],
        max_users=how["max_users"],
        max_streams=how["max_streams"],
        priority=how["priority"],
        owner_user_id=how["owner"],
    )

    async def run(pool: Pool, _: Settings) -> Key:
        if new.owner_user_id is not None:
            await pool.users.get(new.owner_user_id)
        return await pool.keys.add(new, actor=_ACTOR)

    key = _with_pool(run)
    _show(as_json, key, [f"Added key {key.id} ({key.store})"])


@keys.command("list")
@_as_json
def keys_list(as_json: bool) -> None:
    """List the keys; their secrets are never shown."""
    found = _with_pool(lambda pool, _: pool.keys.all())
    _show(as_json, found, _key_table(found))


@keys.command("disable")
@click.argument("number", type=_ID)
@_as_json
def keys_disable(number: int, as_json: bool) -> None:
    """Take key NUMBER out of use at once; its leases end."""
    key = _with_pool(lambda pool, _: pool.keys.disable(number, actor=_ACTOR))
    _show(as_json, key, [f"Key {key.id} is disabled"])


@keys.command("enable")
@click.argument("number", type=_ID)
@_as_json
def keys_enable(number: int, as_json: bool) -> None:
    """Bring key NUMBER back into use."""
    key = _with_pool(lambda pool, _: pool.keys.enable(number, actor=_ACTOR))
    _show(as_json, key, [f"Key {key.id} is in use"])


@main.group()
def users() -> None:
    """The people of the pool."""


@users.command("add")
@click.argument("name")
@click.option("--max-devices", type=click.IntRange(1, 1000), default=3, show_default=True)
@click.option("--max-streams", type=click.IntRange(1, 1000), default=2, show_default=True)
@click.option(
    "--store", "stores", multiple=True, type=click.Choice(_STORE_NAMES), help="Only these."
)
@click.option("--plays-per-day", type=_COUNT)
@click.option("--bytes-per-month", type=_ID)
@click.option("--expires-at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]), help="UTC.")
@click.option("--auth", type=click.UUID, help="A random UUID to use; otherwise one is made.")
@_as_json
def users_add(name: str, as_json: bool, **how: Any) -> None:
    """Add a person; prints the UUID and the manifest URL, which nobody can see again."""
    new = NewUser(
        name=name,
        max_devices=how["max_devices"],
        max_streams=how["max_streams"],
        stores=how["stores"] or None,
        plays_per_day=how["plays_per_day"],
        bytes_per_month=how["bytes_per_month"],
        expires_at=_aware(how["expires_at"]),
        auth=how["auth"],
    )

    async def run(pool: Pool, settings: Settings) -> tuple[User, UUID, str]:
        user, auth = await pool.users.add(new, actor=_ACTOR)
        codes = _codes(user.stores or await pool.keys.stores())
        return user, auth, Urls(settings.base_url).manifest(encode_user_config(auth, codes))

    user, auth, manifest_url = _with_pool(run)
    shown = {**_camel(user), "auth": str(auth), "manifestUrl": manifest_url}
    lines = [
        f"Added user {user.id} ({user.name})",
        f"  UUID      {auth}",
        f"  Manifest  {manifest_url}",
        "Both are secrets of that person and are not shown again.",
    ]
    _show(as_json, shown, lines)


@users.command("list")
@_as_json
def users_list(as_json: bool) -> None:
    """List the people."""
    found = _with_pool(lambda pool, _: pool.users.all())
    rows = [
        (
            str(user.id),
            user.name,
            f"{user.devices}/{user.max_devices}",
            f"{user.streams}/{user.max_streams}",
            "disabled" if user.disabled_at else "active",
        )
        for user in found
    ]
    _show(as_json, found, _table(("ID", "NAME", "DEVICES", "STREAMS", "STATE"), rows))


@users.command("disable")
@click.argument("number", type=_ID)
@_as_json
def users_disable(number: int, as_json: bool) -> None:
    """Lock user NUMBER out at once."""
    user = _with_pool(lambda pool, _: pool.users.disable(number, actor=_ACTOR))
    _show(as_json, user, [f"User {user.id} is disabled"])


@main.group()
def devices() -> None:
    """The devices of a person."""


@devices.command("list")
@click.argument("user", type=_ID)
@_as_json
def devices_list(user: int, as_json: bool) -> None:
    """List the devices of USER (a number)."""

    async def run(pool: Pool, _: Settings) -> list[Device]:
        await pool.users.get(user)
        return await pool.devices.of_user(user)

    found = _with_pool(run)
    rows = [
        (
            str(device.id),
            device.device_class,
            f"{device.last_seen_at:%Y-%m-%d %H:%M}",
            "revoked" if device.revoked_at else "active",
        )
        for device in found
    ]
    _show(as_json, found, _table(("ID", "CLASS", "LAST SEEN", "STATE"), rows))


@devices.command("revoke")
@click.argument("number", type=_ID)
@_as_json
def devices_revoke(number: int, as_json: bool) -> None:
    """Shut device NUMBER out; its leases end."""
    _with_pool(lambda pool, _: pool.devices.revoke(number, actor=_ACTOR))
    _show(as_json, {"id": number, "revoked": True}, [f"Device {number} is revoked"])


@main.group()
def audit() -> None:
    """The record of changes."""


@audit.command("verify")
@_as_json
def audit_verify(as_json: bool) -> None:
    """Check that no row of the record was changed or cut out."""
    broken = _with_pool(lambda pool, _: pool.audit.verify(pool.database))
    said = "The record is whole" if broken is None else f"Row {broken} was changed or is missing"
    _show(as_json, {"ok": broken is None, "firstBad": broken}, [said])
    if broken is not None:
        sys.exit(1)


@main.group()
def config() -> None:
    """Addon configurations."""


@config.command("encode")
@click.argument("text")
@_as_json
def config_encode(text: str, as_json: bool) -> None:
    """Print the URL segment of a configuration given as JSON."""
    segment = encode_config_json(text.encode(errors="replace"))
    decode_user_config(segment)
    _show(as_json, {"config": segment}, [segment])


@config.command("decode")
@click.argument("segment")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as it does anyway.")
def config_decode(segment: str) -> None:
    """Print what a URL segment holds; secrets are blotted out."""
    click.echo(_json(_without_secrets(decode_user_config(segment))))


def _with_pool(work: Callable[[Pool, Settings], Awaitable[T]]) -> T:
    """Run something against the pool; the embedded database is joined, or started for the while."""

    async def run() -> T:
        prepared = launch.prepare()
        async with _database(prepared.settings, _tell) as database:
            ring = keyring(prepared.settings.pool_kek)
            pool = Pool.over(database, ring, SystemClock(), prepared.redactor)
            return await work(pool, prepared.settings)

    return asyncio.run(run())


@asynccontextmanager
async def _database(settings: Settings, say: Callable[[str], None]) -> AsyncIterator[Database]:
    async with AsyncExitStack() as stack:
        try:
            database = await open_database(stack, settings, say)
        except Exception as error:
            known = launch.explain(error)
            if known is None:
                raise
            raise known from None
        yield database


def _tell(line: str) -> None:
    """Tell of progress; what a program reads goes to standard output alone."""
    click.echo(line, err=True)


def _read_secret(key_file: Any) -> Secret:
    """Read a key from a file, the prompt or standard input; never from an argument."""
    if key_file is not None:
        text = key_file.read(_SECRET_CHARACTERS)
    elif sys.stdin.isatty():
        text = click.prompt("Key", hide_input=True)
    else:
        text = sys.stdin.buffer.read(_SECRET_CHARACTERS).decode(errors="replace")
    return Secret(text.strip())


def _codes(store_names: Sequence[str] | frozenset[str]) -> list[str]:
    """Return the codes of stores in the order of our list; TorBox while the pool is empty."""
    codes = [offer.info.code for offer in STORES if offer.info.name in set(store_names)]
    return [code for code in codes if code != "demo"] or ["tb"]


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _without_secrets(config: UserConfig) -> Mapping[str, object]:
    """Return a configuration with what opens something (tokens, UUIDs, indexers) as digests."""
    return {
        **_camel(config),
        "stores": [
            {**_camel(choice), "auth": choice.auth and Secret(str(choice.auth))}
            for choice in config.stores
        ],
    }


def _key_table(found: Sequence[Key]) -> list[str]:
    rows = [
        (
            str(key.id),
            key.store,
            key.label,
            key.state + (f" ({key.state_reason})" if key.state_reason else ""),
            f"{key.users}/{key.max_users}",
            f"{key.streams}/{key.max_streams}",
        )
        for key in found
    ]
    return _table(("ID", "STORE", "LABEL", "STATE", "USERS", "STREAMS"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def _show(as_json: bool, value: object, lines: Sequence[str]) -> None:
    click.echo(_json(value) if as_json else "\n".join(lines))


def _json(value: object) -> str:
    shown = [_camel(one) for one in value] if isinstance(value, list) else _camel(value)
    return msgspec.json.format(msgspec.json.encode(shown, enc_hook=repr)).decode()


def _camel(value: object) -> Mapping[str, object]:
    """Return a value of ours with the names that the API uses."""
    if isinstance(value, Mapping):
        return value
    fields = msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else {}
    return {_camel_name(name): content for name, content in fields.items()}


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
