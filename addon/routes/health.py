"""Whether the server lives and whether it can serve."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from addon.services import State
from infra.errors import DatabaseUnavailable
from infra.web import json_response


async def live(_request: Request[State]) -> Response:
    """Say that the process answers."""
    return json_response({"status": "ok"})


async def ready(request: Request[State]) -> Response:
    """Say whether the database answers; without it lists go on from memory, so still 200."""
    try:
        await request.state["services"].database.fetchval("select 1")
    except DatabaseUnavailable:
        return json_response({"status": "degraded", "database": "away"})
    return json_response({"status": "ok", "database": "ok"})


ROUTES = [
    Route("/health", live),
    Route("/health/live", live),
    Route("/health/ready", ready),
]
