"""Starting and stopping the real program: what is printed, what is kept, what a failure says."""

import os
import pwd
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.db import Database
from tests.flows.process import Done, House, fetch, open_house, until

ROOT = os.geteuid() == 0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as house:
        yield house


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that has been lived in: the slow first start is over, and nothing runs."""
    with open_house(tmp_path_factory.mktemp("start")) as house:
        house.start().stop()
        yield house


def failed(done: Done) -> str:
    """Return what a failed start says to a person; the log beside it tells of no bug."""
    assert done.code == 1
    assert "Traceback" not in done.err + done.out
    log, error, said = done.err.partition("Error: ")
    assert error
    assert all(line.startswith("{") for line in log.splitlines())
    return said.rstrip()


class TestDemo:
    def test_fresh_start_prints_urls_that_list_and_play(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        started = time.monotonic()
        server = house.start()
        manifest = fetch(server.printed.manifest)
        seconds = time.monotonic() - started
        with capsys.disabled():
            sys.stdout.write(f"[first start to first answer: {seconds:.1f} s] ")

        assert seconds < 20
        assert manifest.json["behaviorHints"]["configurationRequired"] is False
        for url in (server.printed.film, server.printed.episode):
            (stream,) = fetch(url).streams
            head, get = (fetch(stream["url"], method=method) for method in ("HEAD", "GET"))
            clip = fetch(get.headers["location"])
            part = fetch(get.headers["location"], headers={"Range": "bytes=-100"})
            assert (head.status, get.status, clip.status, part.status) == (302, 302, 200, 206)
            assert head.headers["location"] == get.headers["location"]
            assert part.body == clip.body[-100:]
            assert part.headers["content-range"].endswith(f"/{len(clip.body)}")
            assert part.headers["content-type"] == "video/mp4"

    def test_second_start_has_the_same_user_and_urls(self, shared: House) -> None:
        second = shared.start()

        users = shared.run("users", "list", "--json").json
        assert _path(second.printed.film) == _path(shared.first.printed.film)
        assert len(fetch(second.printed.film).streams) == 1
        assert [user["name"] for user in users] == ["Demo"]
        second.stop()

    def test_data_directory_is_closed_to_others(self, shared: House) -> None:
        assert shared.data_dir.stat().st_mode & 0o777 == 0o700
        assert shared.cluster.stat().st_mode & 0o777 == 0o700

    @pytest.mark.deep
    def test_demo_that_is_off_prints_no_demo(self, shared: House) -> None:
        server = shared.start(DEMO="off")

        assert (server.printed.film, fetch(f"{server.printed.base}/health").status) == ("", 200)
        server.stop()


def _path(url: str) -> str:
    return url.split("/", 3)[3]


class TestOrdinaryUser:
    @pytest.mark.skipif(not ROOT, reason="the other tests run as one already")
    def test_keeps_everything_below_the_data_directory(self) -> None:
        nobody = pwd.getpwnam("nobody")
        parent = Path(tempfile.mkdtemp(prefix="chillproxy-test-"))
        try:
            os.chown(parent, nobody.pw_uid, nobody.pw_gid)
            with open_house(parent, uid=nobody.pw_uid) as house:
                server = house.start()

                (stream,) = fetch(server.printed.film).streams

                assert fetch(stream["url"]).status == 302
                assert house.home == house.data_dir / "postgres"
                assert house.cluster.stat().st_uid == nobody.pw_uid
                assert server.stop() == 0
        finally:
            shutil.rmtree(parent)


class TestAddress:
    def test_prefix_of_the_base_url_is_in_all_urls_and_may_be_left_off(self, shared: House) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        base = f"http://127.0.0.1:{port}/some/where"

        server = shared.start(PORT=str(port), BASE_URL=base)

        printed = server.printed
        assert {printed.base} == {base}
        for with_prefix in (printed.manifest, printed.film, printed.episode):
            assert with_prefix.startswith(f"{base}/")
            without = with_prefix.replace("/some/where", "")
            answers = fetch(with_prefix), fetch(without)
            assert [answer.status for answer in answers] == [200, 200]
        (stream,) = fetch(printed.film).streams
        play = fetch(stream["url"])
        assert stream["url"].startswith(f"{base}/stremio/play/")
        assert play.headers["location"].startswith(f"{base}/demo/")
        assert fetch(play.headers["location"]).status == 200
        assert fetch(stream["url"].replace("/some/where", "")).status == 302
        server.stop()

    def test_port_zero_takes_a_free_one_and_keeps_a_base_url_that_is_set(
        self, shared: House
    ) -> None:
        server = shared.start(BASE_URL="https://addon.example/x")

        assert server.printed.base == "https://addon.example/x"
        server.stop()


class TestFailure:
    def test_taken_port_is_one_line(self, shared: House) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]

            done = shared.begin(PORT=str(port)).done()

        assert failed(done) == f"cannot listen on 127.0.0.1:{port}: Address already in use"

    def test_all_mistakes_in_settings_are_told_at_once(self, shared: House) -> None:
        done = shared.begin(PORT="99999", LOG_LEVEL="loud", BASE_URL="nonsense").done()

        said = failed(done).splitlines()
        assert sorted(line.partition(":")[0] for line in said) == ["BASE_URL", "LOG_LEVEL", "PORT"]

    @pytest.mark.parametrize(
        ("command", "url", "said"),
        [
            ("serve", "127.0.0.1:1/x", "Connection refused"),
            ("keys list", "127.0.0.1:1/x", "Connection refused"),
            pytest.param("migrate", "127.0.0.1:1/x", "Connection refused", marks=pytest.mark.deep),
            # Its words depend on the resolver, and on whether there is one.
            pytest.param(
                "serve", "no-such-host.invalid/x", "cannot be reached", marks=pytest.mark.deep
            ),
        ],
    )
    def test_database_that_is_not_there_is_told_without_its_password(
        self, shared: House, command: str, url: str, said: str
    ) -> None:
        database = {"DATABASE_URL": f"postgresql://pool:hunter2-secret@{url}"}

        done = shared.run(*command.split(), environment=database)

        assert "hunter2-secret" not in done.out + done.err
        assert said in failed(done)

    def test_doctor_finds_a_database_that_is_not_there(self, shared: House) -> None:
        database = {"DATABASE_URL": "postgresql://pool:hunter2-secret@127.0.0.1:1/x"}

        done = shared.run("doctor", environment=database)

        assert "hunter2-secret" not in done.out + done.err
        assert (done.code, done.err) == (1, "")
        assert "BAD  database: " in done.out

    def test_database_that_does_not_let_us_in_is_told_in_its_words(
        self, shared: House, database_url: str
    ) -> None:
        other = re.sub(r"/test_\w+", "/no_such_database", database_url)

        done = shared.run("keys", "list", environment={"DATABASE_URL": other})

        assert failed(done) == 'the database refuses: database "no_such_database" does not exist'

    @pytest.mark.parametrize(
        ("version", "said"),
        [
            pytest.param("99\n", "was made by Postgres 99, but only", id="its binaries are lost"),
            pytest.param("", "is not a Postgres cluster", id="no version", marks=pytest.mark.deep),
        ],
    )
    def test_cluster_that_nothing_here_can_run_is_told(
        self, shared: House, version: str, said: str
    ) -> None:
        file = shared.cluster / "PG_VERSION"
        before = file.read_text()
        file.write_text(version)
        try:
            done = shared.begin().done()
        finally:
            file.write_text(before)

        assert said in failed(done)

    @pytest.mark.deep
    def test_cluster_that_does_not_start_is_told_with_its_own_words(self, shared: House) -> None:
        control = shared.cluster / "global" / "pg_control"
        away = control.rename(control.with_name("away"))
        try:
            done = shared.begin().done()
        finally:
            away.rename(control)

        assert "Postgres ended while it was starting" in failed(done)
        assert "pg_control" in done.err

    @pytest.mark.deep
    def test_spool_that_cannot_be_made_is_one_line(self, shared: House) -> None:
        usage = shared.data_dir / "usage"
        away = usage.rename(shared.data_dir / "away")
        usage.touch()
        try:
            done = shared.begin().done()
        finally:
            usage.unlink()
            away.rename(usage)

        assert failed(done) == f"{usage / 'dead'}: Not a directory"

    async def test_bug_keeps_its_traceback(
        self, shared: House, database: Database, database_url: str
    ) -> None:
        await database.execute("drop function pool_usage_make_partitions")

        done = shared.begin(DATABASE_URL=database_url).done()

        assert done.code == 1
        assert "Traceback" in done.err
        assert "function pool_usage_make_partitions(" in done.err
        assert done.err.endswith("Error: the server did not start; the log above says why\n")


class TestEnd:
    @pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
    def test_signal_ends_it_and_its_postgres_and_leaves_nothing(
        self, shared: House, sign: signal.Signals
    ) -> None:
        server = shared.start()
        (stream,) = fetch(server.printed.film).streams
        fetch(stream["url"])
        started = time.monotonic()

        code = server.stop(sign)

        assert (code, time.monotonic() - started < 5) == (0, True)
        assert shared.is_empty()
        assert not (shared.cluster / "postmaster.pid").exists()
        assert not shared.socket.exists()
        assert not (shared.home / "socket_directory").exists()
        assert [path.name for path in (shared.data_dir / "usage").iterdir()] == ["dead"]

    def test_signal_during_the_start_ends_it_as_well(self, shared: House) -> None:
        server = shared.begin()
        until(lambda: "Waiting for application startup" in server.err.read_text(), 20)

        code = server.stop()

        assert code == 0
        assert shared.is_empty()
