"""A database with nothing in it, beside the one that a test has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def empty_database(database_url: str) -> AsyncIterator[str]:
    """Make it on the server of the URL, yield its own URL, and drop it."""
    head, _, query = database_url.partition("?")
    name = f"{head.rpartition('/')[2]}_empty"
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"create database {name}")
        yield f"{head.rpartition('/')[0]}/{name}?{query}"
    finally:
        await connection.execute(f"drop database if exists {name} with (force)")
        await connection.close()
