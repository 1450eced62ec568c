"""Runs an ASGI app on a loopback port inside a test: `async with serve(app) as base_url:`."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

_POLL_SECONDS = 0.002


@asynccontextmanager
async def serve(app: ASGIApp, *, grace_seconds: float = 1.0, port: int = 0) -> AsyncIterator[str]:
    """Serve the app, lifespan included, and yield its base URL without a trailing slash.

    Requests that still run when the block ends get `grace_seconds`, then they are cancelled.
    uvicorn's own `serve` is not used: it takes over signals and sleeps 0.1 s on its way out.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, proxy_headers=False, ws="none"
    )  # fmt: skip
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # asyncio turns off Nagle's delay of 40 ms only where the protocol is named.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        try:
            await server.startup(sockets=[listener])
        except SystemExit:
            raise RuntimeError("the app did not start; its log says why") from None
        await server.on_tick(0)  # sets the Date header
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await _stop(server, grace_seconds)


async def _stop(server: uvicorn.Server, grace_seconds: float) -> None:
    for acceptor in server.servers:
        acceptor.close()
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(grace_seconds):
            while state.connections or state.tasks:  # noqa: ASYNC110  # uvicorn has no event
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        running = list(state.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    await server.lifespan.shutdown()
