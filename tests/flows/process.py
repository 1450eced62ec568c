"""The real program as a process: in a data directory of its own, on any free port, always ended."""

import contextlib
import fcntl
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra import embedded_postgres
from infra.embedded_postgres import DATABASE, ROOT_BASE
from tests.flows.world import Answer

PROGRAM = str(Path(sys.executable).with_name("chillproxy"))
READY_SECONDS = 60.0  # a start takes two on a quiet machine
_POLL_SECONDS = 0.02
_ENDS_WITHIN_SECONDS = 20.0
_AGENT = "Stremio-Apple/1.0 iPhone"

# Python may lie below a directory that is closed to others: what is imported late comes before.
_AS_OTHER_USER = """
import os, sys
import encodings.ascii, encodings.idna, multiprocessing.process
import uvicorn.lifespan.on, uvicorn.loops.auto, uvloop
from addon.cli import main
os.setgroups([])
os.setgid({gid})
os.setuid({uid})
sys.argv[0] = "chillproxy"
main()
"""

# Several commands in one process: the imports are most of the time of each.
_MANY = """
import json, sys
from click.testing import CliRunner
from addon.cli import main
for arguments, text in json.load(sys.stdin):
    done = CliRunner().invoke(main, arguments, input=bytes.fromhex(text), catch_exceptions=False)
    print(json.dumps([done.exit_code, done.stdout, done.stderr]))
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)  # noqa: TID251  as a script would


@dataclass(frozen=True, slots=True)
class Printed:
    """The URLs that a start prints."""

    base: str
    manifest: str = ""
    film: str = ""
    episode: str = ""


@dataclass(slots=True)
class Server:
    """A server that was started; `printed` once it is ready."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    printed: Printed = field(default_factory=lambda: Printed(""))

    def stop(self, sign: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(_ENDS_WITHIN_SECONDS)

    def kill(self) -> None:
        """Kill it without a chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def wait_ready(self) -> None:
        """Wait until it has said where it is."""
        until(lambda: self.process.poll() is not None or self._has_printed(), READY_SECONDS)
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended: {self.out.read_text()}{self.err.read_text()}")
        self.printed = _read_banner(self.out.read_text())

    def done(self) -> Done:
        """Return how it ended, once it has."""
        code = self.process.wait(_ENDS_WITHIN_SECONDS)
        return Done(code, self.out.read_text(), self.err.read_text())

    def _has_printed(self) -> bool:
        return "chillproxy users add" in self.out.read_text()


@dataclass(slots=True)
class House:
    """A data directory and the environment of everything that is started for it."""

    data_dir: Path
    environment: dict[str, str]
    uid: int | None = None
    _started: list[Server] = field(default_factory=list)

    @property
    def first(self) -> Server:
        """The server that was started first."""
        return self._started[0]

    @property
    def last(self) -> Server:
        """The server that was started last."""
        return self._started[-1]

    @property
    def home(self) -> Path:
        """Where the cluster and its locks lie."""
        return embedded_postgres._find_place(self.data_dir, ROOT_BASE).home

    @property
    def cluster(self) -> Path:
        return self.home / "cluster"

    @property
    def database_url(self) -> str:
        """The URL of the embedded database, for those who join it."""
        return embedded_postgres._find_place(self.data_dir, ROOT_BASE).url(DATABASE)

    @property
    def socket(self) -> Path:
        """What clients of the database connect to."""
        place = embedded_postgres._find_place(self.data_dir, ROOT_BASE)
        return (place.socket_directory() or place.cluster) / ".s.PGSQL.5432"

    @property
    def postgres_pid(self) -> int:
        return int((self.cluster / "postmaster.pid").read_text().splitlines()[0])

    def is_empty(self) -> bool:
        """Tell whether all processes of the embedded Postgres have ended."""
        with (self.home / "processes.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def begin(self, **environment: str) -> Server:
        """Start a server; it need not come up."""
        name = f"server-{len(self._started)}"
        out, err = (self.data_dir.parent / f"{name}.{end}" for end in ("out", "err"))
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = subprocess.Popen(
                self._command("serve"),
                cwd=self.data_dir.parent,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
            )
        server = Server(process, out, err)
        self._started.append(server)
        return server

    def start(self, **environment: str) -> Server:
        """Start a server and wait until it is ready."""
        server = self.begin(**environment)
        server.wait_ready()
        return server

    def run(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=self.data_dir.parent,
            env={**self.environment, **(environment or {})},
            input=stdin,
            capture_output=True,
            timeout=READY_SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def run_many(self, commands: Sequence[tuple[str, bytes]]) -> list[Done]:
        """Run commands, each with its input, one after the other in one process."""
        asked = [(command.split(), text.hex()) for command, text in commands]
        done = subprocess.run(
            [sys.executable, "-c", _MANY],
            cwd=self.data_dir.parent,
            env=self.environment,
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            timeout=READY_SECONDS,
            check=True,
        )
        return [Done(*json.loads(line)) for line in done.stdout.splitlines()]  # noqa: TID251

    def clear(self) -> None:
        """End what still runs, and remove what lies outside of the data directory."""
        for server in self._started:
            if server.process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.stop()
                server.kill()
        if not self.data_dir.exists():
            return
        place = embedded_postgres._find_place(self.data_dir, ROOT_BASE)
        if (place.home / "processes.lock").exists():
            until(self.is_empty, _ENDS_WITHIN_SECONDS)
        place.remove_socket_directory()
        shutil.rmtree(place.home)

    def _command(self, *arguments: str) -> list[str]:
        if self.uid is None:
            return [PROGRAM, *arguments]
        return [
            sys.executable, "-c", _AS_OTHER_USER.format(uid=self.uid, gid=self.uid), *arguments,
        ]  # fmt: skip


@contextmanager
def open_house(parent: Path, *, uid: int | None = None, **environment: str) -> Iterator[House]:
    """Yield a house with a fresh data directory; whatever was started in it ends with the block.

    Args:
        parent: where the data directory is made.
        uid: who runs the program, when root is to run it as somebody else.
        environment: settings for all that is started, beside those that keep it on its own.
    """
    data_dir = parent / "data"
    usual = {
        "PATH": os.environ["PATH"],  # noqa: TID251  what runs the program here
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "LOG_FORMAT": "json",
        # Known here, so that a test can open the pool as the server does.
        "APP_SECRET": _ring(),
        "POOL_KEK": _ring(),
        "LISTS_PER_USER": "100000",
        "LISTS_PER_NETWORK": "100000",
    }
    house = House(data_dir, {**usual, **environment}, uid)
    try:
        yield house
    finally:
        house.clear()


def _ring() -> str:
    return f"test:{b64encode(secrets.token_bytes(32)).decode()}"


def until(is_so: Callable[[], bool], seconds: float) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} seconds")
        time.sleep(_POLL_SECONDS)


def _read_banner(text: str) -> Printed:
    """Read the URLs of a start from what it has printed."""
    patterns = {
        "base": r"^Chillproxy is ready at (\S+)$",
        "manifest": r"Install in Stremio +(\S+)$",
        "film": r"A film to try +(\S+)$",
        "episode": r"An episode to try +(\S+)$",
    }
    found = {
        name: match[1]
        for name, pattern in patterns.items()
        if (match := re.search(pattern, text, re.MULTILINE))
    }
    return Printed(**found)


def fetch(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:  # fmt: skip
    """Ask as curl does: no redirect is followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, headers={"User-Agent": _AGENT, **(headers or {})})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()
