"""Whether the server lives and whether it can serve."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from addon.services import State
from infra.errors import DatabaseUnavailable
from infra.web import json_response

_DATABASE_SECONDS = 2.0


async def live(_request: Request[State]) -> Response:
    """Say that the process answers."""
    return json_response({"status": "ok"})


async def ready(request: Request[State]) -> Response:
    """Say whether new requests should come here.

    Without the database refusals stay readable, so that is still 200. 503 is for the time in which
    a server that was told to stop finishes what it has begun.
    """
    services = request.state["services"]
    if services.is_stopping():
        return json_response({"status": "stopping"}, 503)
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            await services.database.fetchval("select 1")
    except (DatabaseUnavailable, TimeoutError):
        return json_response({"status": "degraded", "database": "away"})
    return json_response({"status": "ok", "database": "ok"})


ROUTES = [
    Route("/health", live),
    Route("/health/live", live),
    Route("/health/ready", ready),
]
