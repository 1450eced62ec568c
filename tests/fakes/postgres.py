"""Holds the embedded Postgres of a test run: prints its URL, lives until its input ends."""

import asyncio
import itertools
import sys
from pathlib import Path

import asyncpg

from infra.embedded_postgres import EmbeddedPostgres


async def _hold(parent: Path) -> None:
    for number in itertools.count():
        directory = parent / str(number)
        async with EmbeddedPostgres.open(directory, say=lambda _: None) as postgres:
            if postgres.is_owner:  # else another run holds it, and stops it when it ends
                await _hurry(postgres.url)
                sys.stdout.write(f"{postgres.url}\n")
                sys.stdout.flush()
                await asyncio.to_thread(sys.stdin.read)
                return


async def _hurry(url: str) -> None:
    """Wait for no disk: what a test leaves behind need not survive a loss of power."""
    connection = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            await connection.execute(f"alter system set {setting} = off")
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(_hold(Path(sys.argv[1])))
