"""Holds the embedded Postgres of a test run: prints its URL, lives until its input ends."""

import asyncio
import sys
from pathlib import Path

from infra.embedded_postgres import EmbeddedPostgres


async def _hold(data_dir: Path) -> None:
    async with EmbeddedPostgres.open(data_dir, say=lambda _: None) as postgres:
        sys.stdout.write(f"{postgres.url}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_hold(Path(sys.argv[1])))
