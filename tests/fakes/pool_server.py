"""The pool alone on a loopback port, as another server would hold it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from chillproxy.api import ROUTES
from chillproxy.api.bearer import Gate
from chillproxy.api.state import PoolState
from chillproxy.pool import Pool
from infra.web import EXCEPTION_HANDLERS, Edge


def create_pool_app(pool: Pool, gate: Gate) -> Starlette:
    """Return an application that answers the internal API over an open pool."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[PoolState]:
        yield {"pool": pool, "gate": gate}

    app = Starlette(
        routes=ROUTES,
        middleware=[Middleware(Edge)],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app
