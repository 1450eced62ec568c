"""Numbers for Prometheus: for this machine, or for whoever holds the token."""

import hmac
import ipaddress

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from addon.services import State
from infra.errors import Forbidden
from infra.metrics import CONTENT_TYPE
from infra.secret import Secret
from infra.settings import Settings
from infra.web import client_address

_FORWARDING = ("x-forwarded-for", "forwarded")


async def metrics(request: Request[State]) -> Response:
    """Answer with all metrics as text."""
    services = request.state["services"]
    token = services.settings.metrics_token
    may_read = (
        _is_of_this_machine(request, services.settings)
        if token is None
        else _bears(request, token)
    )  # fmt: skip
    if not may_read:
        raise Forbidden("Metrics are for this machine, or for the bearer of METRICS_TOKEN")
    return Response(
        services.metrics.render(),
        headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"},
    )


def _bears(request: Request[State], token: Secret) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_it = hmac.compare_digest(given.strip().encode(), token.reveal().encode())
    return is_it and scheme.lower() == "bearer"


def _is_of_this_machine(request: Request[State], settings: Settings) -> bool:
    """Tell whether the caller itself is on this machine, not merely a proxy that asks for it."""
    address = client_address(request.scope, settings.trusted_proxies)
    is_forwarded = any(name in request.headers for name in _FORWARDING)
    if is_forwarded and address == client_address(request.scope, ()):
        return False  # a proxy that we were not told to trust: whom it asks for is not known
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


ROUTES = [Route("/metrics", metrics)]
