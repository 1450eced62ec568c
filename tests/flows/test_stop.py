"""The end of the real program: what is open is finished, what happened is kept."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from addon.demo import FILM
from infra.db import Database
from tests.flows.process import fetch, open_house, until

_ENDS_WITHIN_SECONDS = 20.0


async def test_stop_finishes_open_requests_says_so_and_loses_no_event(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as indexer,
        ThreadPoolExecutor() as threads,
        open_house(
            tmp_path,
            TORZNAB_INDEXERS=f"slow|http://127.0.0.1:{indexer.getsockname()[1]}/api|key",
        ) as house,
    ):
        server = house.start()
        listed = threads.submit(fetch, server.printed.film)
        held, _ = indexer.accept()  # the list waits for the indexer now
        started = time.monotonic()
        server.process.terminate()

        until(lambda: fetch(f"{server.printed.base}/health/ready").status == 503, 5)
        ready = fetch(f"{server.printed.base}/health/ready")
        held.close()
        answer = listed.result(_ENDS_WITHIN_SECONDS)
        code = server.process.wait(_ENDS_WITHIN_SECONDS)

        assert ready.json == {"status": "stopping"}
        assert (answer.status, len(answer.streams)) == (200, 1)
        assert code == 0
        assert time.monotonic() - started < _ENDS_WITHIN_SECONDS
        assert list(house.data_dir.glob("usage/*/*.lines")) == []
        assert "Traceback" not in server.err.read_text()
        house.start()
        async with Database.open(house.database_url) as database:
            rows = await database.fetch("select action, media from pool_usage_logs")
        assert [tuple(row) for row in rows] == [("list", str(FILM))]


def test_stop_of_an_idle_server_keeps_nobody_waiting(tmp_path: Path) -> None:
    with open_house(tmp_path) as house:
        server = house.start()
        fetch(server.printed.film)
        started = time.monotonic()

        code = server.stop()

        assert code == 0
        assert time.monotonic() - started < 5
