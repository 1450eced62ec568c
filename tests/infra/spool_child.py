"""A process that records lines until it is killed, and prints the id of each acknowledged one.

Its receiver is a file: what was written there was stored, even if nobody heard of it any more.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from infra.clock import SystemClock
from infra.log import configure_logging
from infra.secret import Redactor
from infra.spool import Spool


async def main(directory: Path, name: str, table: Path) -> None:
    """Record as fast as it goes, for ever."""
    fd = os.open(table, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def ship(lines: Sequence[bytes]) -> None:
        os.write(fd, b"".join(line + b"\n" for line in lines))

    tick = timedelta(milliseconds=10)
    async with Spool.open(
        directory, clock=SystemClock(), ship=ship, seal_every=tick, fsync_every=tick
    ) as spool:
        for number in itertools.count():
            line = f"{name}-{number}".encode()
            if spool.record(line + b" " + b"x" * 200, important=True):
                os.write(1, line + b"\n")
            if number % 20 == 0:
                await asyncio.sleep(0.001)


if __name__ == "__main__":
    configure_logging("warning", "json", Redactor(), sys.stderr)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
