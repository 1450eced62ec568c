"""Saved configurations: made by anybody, read and changed by those who can prove them theirs."""

import hmac
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from addon.accounts.credentials import Access
from addon.key_pool.base import PoolRefusal
from addon.saved_configs import SEGMENT, Saved, digest_of
from addon.services import Services, State
from addon.user_config import UserConfig, decode_config_json
from infra.clock import Deadline
from infra.errors import CallerError, ConfigInvalid, Forbidden, NotFound, TooMany, Unauthorized
from infra.qr import qr_code
from infra.secret import Secret
from infra.web import client_address, decode_body, json_response, read_body

_MAX_BODY_BYTES = 16 * 1024
_MAX_CONFIG_BYTES = 4_096
_PASSWORD_CHARACTERS = range(8, 129)
_POOL_SECONDS = 2.0
_NO_STORE = {"Cache-Control": "no-store"}
_OWN_PAGES = frozenset({"same-origin", "none"})


class _Save(msgspec.Struct):
    config: msgspec.Raw
    password: str | None = None


async def save(request: Request[State]) -> Response:
    """Save a configuration and answer with its id."""
    services = request.state["services"]
    _check_origin(request, has_body=True)
    wait = services.saves_per_network.take(_network(request))
    if wait is not None:
        raise TooMany("Too many configurations in an hour", retry_after=wait)
    text, config, password = await _read(request)
    saved_id = await services.saved_configs.create(
        text,
        owner=await _owner(request, config),
        password=await services.passwords.digest(password) if password else None,
    )
    return json_response(_links(services, saved_id), 201, _NO_STORE)


async def read(request: Request[State]) -> Response:
    """Answer with a saved configuration."""
    _, saved = await _authorised(request)
    return _shown(request, saved)


async def change(request: Request[State]) -> Response:
    """Replace a saved configuration, and its password if a new one is given."""
    services = request.state["services"]
    _check_origin(request, has_body=True)
    digest, _ = await _authorised(request)
    text, config, password = await _read(request)
    await services.saved_configs.change(
        digest,
        text,
        owner=await _owner(request, config),
        password=await services.passwords.digest(password) if password else None,
    )
    saved = await services.saved_configs.find(digest)
    if saved is None:
        raise NotFound("No such configuration")
    return _shown(request, saved)


async def delete(request: Request[State]) -> Response:
    """Delete a saved configuration; its lists and plays end with it."""
    _check_origin(request, has_body=False)
    digest, _ = await _authorised(request)
    await request.state["services"].saved_configs.delete(digest)
    return Response(status_code=204, headers=_NO_STORE)


def _check_origin(request: Request[State], *, has_body: bool) -> None:
    """Refuse what another site's page could send from a person's browser."""
    if request.headers.get("sec-fetch-site", "none") not in _OWN_PAGES:
        raise Forbidden("Only pages of this server may do this")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if has_body and kind != "application/json":
        raise Forbidden("The body has to be application/json")


async def _read(request: Request[State]) -> tuple[bytes, UserConfig, Secret | None]:
    """Return the configuration as text and as type, and the password, if one is given."""
    body = decode_body(await read_body(request, _MAX_BODY_BYTES), _Save)
    text = bytes(body.config)
    if len(text) > _MAX_CONFIG_BYTES:
        raise ConfigInvalid(f"the configuration is longer than {_MAX_CONFIG_BYTES} bytes")
    config = decode_config_json(text)
    broken = next((at for at, one in enumerate(config.stores) if one.auth_is_broken), None)
    if broken is not None:
        raise ConfigInvalid(f"store {broken + 1}: invalid auth format, expected UUID")
    if not config.stores:
        raise ConfigInvalid("the configuration names no store")
    return text, config, _checked_password(body.password)


def _checked_password(password: str | None) -> Secret | None:
    """Return a password that a header can carry as it is."""
    if password is None:
        return None
    is_plain = password.isascii() and password.isprintable() and password == password.strip()
    if len(password) not in _PASSWORD_CHARACTERS or not is_plain:
        raise CallerError(
            "password: 8 to 128 printable ASCII characters, no blanks around it",
            code="validation_error",
        )
    return Secret(password)


async def _owner(request: Request[State], config: UserConfig) -> str | None:
    """Return the ref of the pool's user in a configuration, as far as the pool can be asked."""
    services = request.state["services"]
    headers = {name.lower(): value for name, value in request.headers.items()}
    device = services.devices.read(_address(request), headers)
    access = await services.accounts.for_list(config.stores, device, Deadline.after(_POOL_SECONDS))
    return next(filter(None, _refs(access)), None)


def _refs(access: Access) -> list[str | None]:
    granted = [one.grant.user_ref for one in access.credentials if one.grant]
    return [*granted, *(one.user_ref for one in access.errors if isinstance(one, PoolRefusal))]


async def _authorised(request: Request[State]) -> tuple[bytes, Saved]:
    """Return the digest of the id and the row, for who has the UUID in it or its password.

    The work is the same whether the row is there or not, and has a password or not.

    Raises:
        NotFound: there is no such row.
        Unauthorized: nothing was presented.
        Forbidden: what was presented is wrong.
        TooMany: that has been so too often.
    """
    services = request.state["services"]
    digest = digest_of(request.path_params["id"])
    if digest is None:
        raise NotFound("No such configuration")
    auth = request.headers.get("authorization", "")
    password = request.headers.get("x-edit-password", "")
    attempt = f"{_network(request)} {digest.hex()}"
    if auth or password:
        services.edit_attempts.begin(attempt)
    saved = await services.saved_configs.find(digest)
    stored = saved.password_digest if saved else None
    has_password = bool(password) and await services.passwords.matches(Secret(password), stored)
    has_auth = _has_auth(auth, saved.config if saved else None)
    if saved is None:
        raise NotFound("No such configuration")
    if not (auth or password):
        raise Unauthorized("Send the UUID in it as bearer, or its edit password")
    if not (has_auth or has_password):
        raise Forbidden("That is not the UUID in it, nor its edit password")
    services.edit_attempts.succeeded(attempt)
    return digest, saved


def _has_auth(header: str, config: UserConfig | None) -> bool:
    """Tell whether a bearer is one of the UUIDs in a configuration."""
    kind, _, text = header.partition(" ")
    try:
        presented = UUID(text.strip()) if kind.lower() == "bearer" else None
    except ValueError:
        presented = None
    if presented is None or config is None:
        return False
    matches = [
        hmac.compare_digest(presented.bytes, one.auth.bytes) for one in config.stores if one.auth
    ]
    return any(matches)


def _shown(request: Request[State], saved: Saved) -> Response:
    body = {
        **_links(request.state["services"], request.path_params["id"]),
        "config": msgspec.Raw(saved.text),
        "hasPassword": saved.password_digest is not None,
        "createdAt": saved.created_at,
        "updatedAt": saved.updated_at,
        "usedAt": saved.used_at,
    }
    return json_response(body, headers=_NO_STORE)


def _links(services: Services, saved_id: str) -> dict[str, object]:
    segment = SEGMENT + saved_id
    page = services.urls.configure(segment)
    return {
        "id": saved_id,
        "manifestUrl": services.urls.manifest(segment),
        "configureUrl": page,
        "qr": qr_code(page),
    }


def _network(request: Request[State]) -> str:
    device = request.state["services"].devices.read(_address(request), {})
    return device.network.hex()


def _address(request: Request[State]) -> str:
    return client_address(request.scope, request.state["services"].settings.trusted_proxies)


ROUTES = [
    Route("/api/configs", save, methods=["POST"]),
    Route("/api/configs/{id}", read, methods=["GET"]),
    Route("/api/configs/{id}", change, methods=["PUT"]),
    Route("/api/configs/{id}", delete, methods=["DELETE"]),
]
