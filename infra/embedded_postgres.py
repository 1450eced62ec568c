"""A Postgres of our own for those who name none: found, set up, kept running, shared, stopped.

Beside the cluster lie two lock files. `owner.lock` is held by the process that starts and stops
the server; whoever finds it taken joins through the socket. `processes.lock` is inherited by the
server and all its children, so that a free lock proves that nothing of an earlier one is left.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote

import asyncpg

from infra.clock import Deadline, SystemClock
from infra.postgres_binaries import (
    ENVIRONMENT,
    Binaries,
    EmbeddedPostgresError,
    User,
    choose_binaries,
    find_binaries,
    make_open_directory,
    user_for_root,
    user_of,
)
from infra.tasks import Background, supervise

__all__ = ["Binaries", "EmbeddedPostgres", "EmbeddedPostgresError", "find_binaries"]

DATABASE = "chillproxy"
ROOT_BASE = Path("/var/lib/chillproxy")

_PORT = 5432  # only the socket's name: nothing listens on TCP
_LONGEST_SOCKET = 103  # macOS; Linux takes 107
_LONGEST_LOG = 10_000_000
_TAIL_LINES = 8
_PR_SET_PDEATHSIG = 1

_CONNECT_SECONDS = 5.0
_JOIN_SECONDS = 60.0
_EARLIER_SECONDS = 30.0
_START_SECONDS = 600.0  # crash recovery after much writing takes minutes on a slow disk
_STOP_STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))

_INITDB = (
    "--username=postgres",
    "--encoding=UTF8",
    "--no-locale",
    # Only the server's user and root reach a socket in a 0700 directory, and root is not the
    # role that `peer` would ask for.
    "--auth-local=trust",
    "--auth-host=reject",
)
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(_PORT),
    "shared_buffers": "64MB",
    "max_connections": "100",
    "jit": "off",
    "timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",  # a DETAIL line may quote a row
}


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running server. Its owner heals and stops it; whoever joined leaves it running.

    Attributes:
        url: a DSN of the database `chillproxy` through the unix socket, for asyncpg and libpq.
        is_owner: whether this process keeps the server running.
    """

    url: str
    is_owner: bool

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        data_dir: Path,
        *,
        say: Callable[[str], None],
        binaries: Iterable[Binaries] | None = None,
        root_base: Path = ROOT_BASE,
    ) -> AsyncIterator["EmbeddedPostgres"]:
        """Start the server of a data directory, or join it when another process runs it.

        Call it on the main thread: on Linux the server stops when the thread that started it
        ends, so that a killed owner leaves nothing behind.

        Args:
            data_dir: its `postgres` directory holds the cluster.
            say: gets short lines about progress, for people.
            binaries: best first; by default those of `find_binaries`.
            root_base: as root the cluster lies here instead, run by a user with fewer rights.

        Raises:
            EmbeddedPostgresError: with the reason, the end of the server's log where that helps,
                and what to do.
        """
        async with AsyncExitStack() as stack:
            with _naming(data_dir):
                place = await asyncio.to_thread(_find_place, data_dir, root_base)
                lock = await _own_or_join(place)
                if lock is not None:
                    stack.callback(os.close, lock)
                    found = find_binaries() if binaries is None else binaries
                    chosen = await asyncio.to_thread(
                        choose_binaries,
                        found,
                        place.cluster,
                        place.user,
                        root_base=root_base,
                        say=say,
                    )
                    await stack.enter_async_context(_served(_Server(place, chosen, say)))
            yield cls(place.url(DATABASE), lock is not None)

    async def wait_lost(self) -> None:
        """Return when the server that runs now has gone; the owner then starts it again."""
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(self.url, timeout=_CONNECT_SECONDS)
        except (OSError, asyncpg.OperatorInterventionError, asyncpg.PostgresConnectionError):
            return
        try:
            connection.add_termination_listener(lambda _: lost.set())
            await lost.wait()
        finally:
            connection.terminate()


@contextmanager
def _naming(data_dir: Path) -> Iterator[None]:
    """Turn an error of the file system, or one of Postgres, into ours."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise EmbeddedPostgresError(
            f"The embedded Postgres of {data_dir} cannot be set up: {error}"
        ) from error


def _pauses(seconds: float) -> Iterator[float]:
    """Yield growing pauses between questions until the time is up."""
    deadline = Deadline.after(seconds)
    pause = 0.01
    while deadline.left:
        yield pause
        pause = min(pause * 1.2, 0.25)


class _State(Enum):
    """What the socket tells about the server."""

    ABSENT = auto()
    BUSY = auto()  # somebody is there: starting, stopping, or full
    RUNNING = auto()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cluster lies, who runs it, and how it is reached."""

    home: Path
    user: User
    is_joined_only: bool = False

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    def socket_directory(self) -> Path | None:
        """Return the cluster or, when that is too long, the short directory its owner has made."""
        if _suits_socket(self.cluster):
            return self.cluster
        with contextlib.suppress(OSError, ValueError):
            short = Path(self._short_directory.read_text())
            found = short.lstat()
            # It lies where anybody may put something.
            if found.st_uid == self.user.uid and stat.S_ISDIR(found.st_mode):
                return None if found.st_mode & 0o077 else short
        return None

    def make_socket_directory(self) -> Path:
        """Return the directory for the socket, made if need be."""
        if (directory := self.socket_directory()) is not None:
            return directory
        short = Path(tempfile.mkdtemp(prefix="chillproxy-", dir="/tmp"))
        if self.user.is_other:
            os.chown(short, self.user.uid, self.user.gid)
        self._short_directory.write_text(str(short))
        return short

    def remove_socket_directory(self) -> None:
        """Remove the short directory, if there is one."""
        directory = self.socket_directory()
        if directory not in {None, self.cluster}:
            shutil.rmtree(directory, ignore_errors=True)
            self._short_directory.unlink(missing_ok=True)

    @property
    def _short_directory(self) -> Path:
        return self.home / "socket_directory"

    def url(self, database: str) -> str:
        directory = quote(str(self.socket_directory() or self.cluster), safe="")
        return f"postgresql://postgres@/{database}?host={directory}&port={_PORT}"

    async def connect(self, database: str) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self.url(database), timeout=_CONNECT_SECONDS)

    async def state(self, database: str) -> _State:
        """Ask the server itself, since a pid in a file proves nothing."""
        return (await self.ask_pid(database))[0]

    async def ask_pid(self, database: str) -> tuple[_State, int]:
        """Return the state and, of a running server, its pid.

        A server is that of this cluster when it reads the same `postmaster.pid` as we do. Its
        setting `data_directory` is a path, which may differ where another container started it.
        """
        if self.socket_directory() is None:
            return _State.ABSENT, 0
        try:
            connection = await self.connect(database)
        except (FileNotFoundError, ConnectionRefusedError):
            return _State.ABSENT, 0
        except _IN_BETWEEN:
            return _State.BUSY, 0
        try:
            theirs = await connection.fetchval(
                "select pg_read_binary_file('postmaster.pid')", timeout=_CONNECT_SECONDS
            )
            ours = await asyncio.to_thread((self.cluster / "postmaster.pid").read_bytes)
        except (*_IN_BETWEEN, FileNotFoundError):
            return _State.BUSY, 0
        finally:
            connection.terminate()
        # Pid, directory and start; the last line changes while the server gets ready.
        pid, *rest = theirs.splitlines()[:3]
        is_same = [pid, *rest] == ours.splitlines()[:3]
        return (_State.RUNNING, int(pid)) if is_same else (_State.BUSY, 0)


_IN_BETWEEN = (
    TimeoutError,
    BlockingIOError,  # too many wait at the socket
    ConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,  # the owner has not made the database yet
)


def _suits_socket(directory: Path) -> bool:
    """Tell whether the socket's path is short enough, and has nothing that a DSN would split."""
    path = directory / f".s.PGSQL.{_PORT}"
    is_plain = re.fullmatch(r"[\w/.+~=-]+", str(path), re.ASCII) is not None
    return is_plain and len(str(path)) <= _LONGEST_SOCKET


def _find_place(data_dir: Path, root_base: Path) -> _Place:
    """Choose where the cluster lies, and make the directories around it."""
    data_dir = data_dir.resolve()
    home = data_dir / "postgres"
    if os.geteuid() != 0:
        user = user_of(os.geteuid())
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.mkdir(mode=0o700, exist_ok=True)
        return _Place(home, user)
    if (home / "cluster").exists():
        # An ordinary user's. Root beside it must see the same data, and must leave no files there
        # that this user could not change.
        owner = (home / "cluster").stat()
        name = str(owner.st_uid)
        return _Place(home, User(name, owner.st_uid, owner.st_gid), is_joined_only=True)
    home = root_base / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    for directory in (root_base, home):
        make_open_directory(directory)
    cluster = home / "cluster"
    return _Place(home, user_of(cluster.stat().st_uid) if cluster.exists() else user_for_root())


def _try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock until all its copies are closed; None if taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


async def _own_or_join(place: _Place) -> int | None:
    """Return the owner's lock, or None once the server of another owner answers."""
    if place.is_joined_only:
        if await place.state(DATABASE) is _State.RUNNING:
            return None
        raise EmbeddedPostgresError(
            f"The database in {place.home} belongs to user id {place.user.name} and is not "
            f"running. Run this as that user (sudo -u '#{place.user.name}'), or start the server."
        )
    for pause in _pauses(_JOIN_SECONDS):
        lock = _try_lock(place.home / "owner.lock")
        if lock is not None:
            return lock
        if await place.state(DATABASE) is _State.RUNNING:
            return None
        await asyncio.sleep(pause)
    raise EmbeddedPostgresError(
        f"Another process has started the Postgres in {place.home}, which does not answer; "
        f"{place.log} may tell why."
    )


class _Server:
    """The server process of an owner."""

    def __init__(self, place: _Place, binaries: Binaries, say: Callable[[str], None]) -> None:
        self._place = place
        self._binaries = binaries
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = asyncio.Event()
        self._log_start = 0

    async def prepare(self) -> None:
        """Make the cluster unless there is one. A half-made one is never taken for a whole."""
        if await asyncio.to_thread(self._place.cluster.exists):
            return
        self._say(f"Preparing the database in {self._place.home} (first start) ...")
        fresh = self._place.home / "cluster.new"
        processes = await self._outlast_earlier()
        try:
            await asyncio.to_thread(_make_empty, fresh, self._place.user)
            program = self._binaries.directory / "initdb"
            # It syncs all files itself, so that the renamed cluster outlives a power failure.
            process = self._launch([str(program), *_INITDB, "-D", str(fresh)], processes)
            await self._gone.wait()
        finally:
            os.close(processes)
        if process.returncode != 0:
            raise self._failure("The database could not be made")
        await asyncio.to_thread(_rename, fresh, self._place.cluster)

    async def start(self) -> None:
        """Start the server once nothing of an earlier one is left; return when it answers."""
        processes = await self._outlast_earlier()
        try:
            sockets = await asyncio.to_thread(self._clear)
            options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
            program = self._binaries.directory / "postgres"
            cluster = str(self._place.cluster)
            self._launch([str(program), "-D", cluster, "-k", str(sockets), *options], processes)
        finally:
            os.close(processes)
        await self._wait_ready()
        self._say(f"Postgres {self._binaries.major} is running")

    async def make_database(self) -> None:
        """Create the database unless it is there."""
        connection = await self._place.connect("postgres")
        try:
            if not await connection.fetchval(
                "select 1 from pg_database where datname = $1", DATABASE
            ):
                await connection.execute(f"create database {DATABASE}")
        finally:
            connection.terminate()

    async def heal(self) -> None:
        """Start the server again whenever it has ended."""
        while True:
            await self._gone.wait()
            self._say("Postgres has stopped unexpectedly; starting it again")
            with _naming(self._place.home):
                await self.start()

    async def stop(self) -> None:
        """End the child if it is there, more and more firmly."""
        process = self._process
        if process is None or self._gone.is_set():
            return
        for sign, seconds in _STOP_STEPS:
            process.send_signal(sign)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._gone.wait()
                    return

    def tidy(self) -> None:
        """Remove what lies outside of the data directory."""
        self._place.remove_socket_directory()

    async def _outlast_earlier(self) -> int:
        """Wait until all processes of an earlier server have ended; return their lock.

        After a kill, children linger for a moment. A whole server is left over where its owner's
        death did not stop it (not Linux), or where somebody started one by hand: it is stopped.
        """
        stopped = 0
        for pause in _pauses(_EARLIER_SECONDS):
            state, pid = await self._place.ask_pid("postgres")
            if state is _State.RUNNING and pid != stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGINT)
                stopped = pid
            if state is _State.ABSENT:
                lock = _try_lock(self._place.home / "processes.lock")
                if lock is not None:
                    return lock
            await asyncio.sleep(pause)
        raise EmbeddedPostgresError(
            f"Processes of an earlier Postgres in {self._place.cluster} do not end; stop them."
        )

    def _clear(self) -> Path:
        """Remove what a killed server left behind, and return the directory for the socket.

        Postgres takes any live process of its user for the server that a stale file names.
        """
        sockets = self._place.make_socket_directory()
        for stale in (
            self._place.cluster / "postmaster.pid",
            sockets / f".s.PGSQL.{_PORT}",
            sockets / f".s.PGSQL.{_PORT}.lock",
        ):
            stale.unlink(missing_ok=True)
        # Some volume drivers open it to the group at each mount, and Postgres then refuses.
        self._place.cluster.chmod(0o700)
        return sockets

    def _launch(self, command: list[str], processes: int) -> subprocess.Popen[bytes]:
        """Start a child. It holds `processes`, and stops when we die; its end sets `_gone`."""
        log = self._open_log()
        try:
            process = subprocess.Popen(  # noqa: S603  # our own command line
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._place.home,
                env=ENVIRONMENT,
                pass_fds=(processes,),
                start_new_session=True,  # Ctrl+C is for us; the server is stopped last
                preexec_fn=_stop_with_parent(),  # noqa: PLW1509  # one C call
                **self._place.user.rights(),
            )
        finally:
            os.close(log)
        self._process, self._gone = process, asyncio.Event()
        _set_at_exit(process, self._gone)
        return process

    def _open_log(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(self._place.log, flags, 0o600)
        if os.fstat(log).st_size > _LONGEST_LOG:
            os.ftruncate(log, 0)
        self._log_start = os.fstat(log).st_size
        return log

    async def _wait_ready(self) -> None:
        for pause in _pauses(_START_SECONDS):
            if await self._place.state("postgres") is _State.RUNNING:
                return
            if self._gone.is_set():
                raise self._failure("Postgres ended while it was starting")
            await asyncio.sleep(pause)
        await self.stop()
        raise self._failure("Postgres did not get ready")

    def _failure(self, what: str) -> EmbeddedPostgresError:
        with self._place.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return EmbeddedPostgresError(
            "\n".join([f"{what}. The end of {self._place.log}:", *lines[-_TAIL_LINES:]])
        )


def _make_empty(directory: Path, user: User) -> None:
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(mode=0o700)
    if user.is_other:
        os.chown(directory, user.uid, user.gid)


def _rename(source: Path, target: Path) -> None:
    source.rename(target)
    parent = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def _stop_with_parent() -> Callable[[], None] | None:
    """Return what a new child does so that the kernel stops it when the calling thread ends.

    subprocess runs it after the change of user, which would undo it. Linux only.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _set_at_exit(process: subprocess.Popen[bytes], gone: asyncio.Event) -> None:
    """Follow a child from a thread of its own: the default executor is for short work."""
    loop = asyncio.get_running_loop()

    def follow() -> None:
        process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=follow, name="embedded postgres", daemon=True).start()


@asynccontextmanager
async def _served(server: _Server) -> AsyncIterator[None]:
    try:
        await server.prepare()
        await server.start()
        await server.make_database()
        async with Background() as background:
            background.start(
                "embedded postgres",
                supervise(
                    "embedded postgres",
                    server.heal,
                    SystemClock(),
                    first_wait=0.1,
                    longest_wait=2.0,
                ),
            )
            yield
    finally:
        await server.stop()
        await asyncio.to_thread(server.tidy)
