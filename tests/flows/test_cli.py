"""The command line, as a program: beside a running server and alone; for people and for scripts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner

from addon.cli import main
from addon.user_config import decode_user_config, encode_user_config
from tests.flows.process import Done, House, fetch, open_house, until

KEY = "CANARY-key-0123456789"
AUTH = "550e8400-e29b-41d4-a716-446655440000"
_EFFECTIVE_SECONDS = 2.0
_FAR = "America/New_York"  # not its time is meant anywhere, but UTC

NO_KEYS = [
    b"",
    b"short",
    b"CANARY two words",
    b"CANARY-1\nCANARY-2",
    b"CANARY-\xff\xfe",
    b"x" * 2000,
]
REFUSED = {
    "keys add torbox": "this key is in the pool already",
    "keys add torbox --scope shared": "scope shared shares the account",
    "keys add torbox --owner 99": "there is no user 99",
    "keys disable 99": "there is no key 99",
    "keys enable 99 --json": "there is no key 99",
    "users disable 99 --json": "there is no user 99",
    "devices list 99 --json": "there is no user 99",
    "devices revoke 99": "there is no device 99",
    f"users add A --auth {UUID(int=0)}": "a user's UUID must be a random one",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which a server runs, with the demo whatever keys are added."""
    with open_house(tmp_path_factory.mktemp("cli"), DEMO="on", TZ=_FAR) as house:
        house.start()
        yield house


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house in which no server has ever run."""
    with open_house(tmp_path_factory.mktemp("cli"), TZ=_FAR) as house:
        yield house


@pytest.fixture(params=["running", pytest.param("alone", marks=pytest.mark.deep)])
def house(request: pytest.FixtureRequest) -> House:
    house: House = request.getfixturevalue(request.param)
    return house


def refused(done: Done) -> str:
    """Return the one line of a refusal, beside what was told of progress."""
    lines = [line for line in done.err.splitlines() if not line.startswith("Postgres ")]
    assert (done.code, done.out, len(lines)) == (1, "", 1)
    assert lines[0].startswith("Error: ")
    return lines[0].removeprefix("Error: ")


class TestCommands:
    def test_key_is_added_listed_disabled_and_enabled(self, house: House, tmp_path: Path) -> None:
        file = tmp_path / "key"
        file.write_text(f"{KEY}-of-a-file\n")

        added = house.run("keys", "add", "torbox", "--label", "a", "--json", stdin=KEY.encode())
        of_file = house.run("keys", "add", "torbox", "--key-file", str(file), "--json")
        number = str(added.json["id"])
        disabled = house.run("keys", "disable", number, "--json")
        enabled = house.run("keys", "enable", number, "--json")
        listed, shown = house.run("keys", "list", "--json"), house.run("keys", "list")

        assert {"id", "store", "label", "scope", "state", "maxUsers", "maxStreams"} <= set(
            added.json
        )
        assert (added.json["store"], added.json["label"]) == ("torbox", "a")
        assert [added.json["state"], disabled.json["state"], enabled.json["state"]] == [
            "active", "disabled", "active",
        ]  # fmt: skip
        assert listed.json[-2:] == [enabled.json, of_file.json]
        assert shown.out.splitlines()[-2].split()[:4] == [number, "torbox", "a", "active"]
        for done in (added, of_file, disabled, enabled, listed, shown):
            assert "CANARY" not in done.out + done.err

    def test_user_is_added_listed_and_disabled(self, house: House) -> None:
        added = house.run(
            *("users", "add", "Ann", "--max-devices", "4", "--auth", AUTH),
            *("--store", "torbox", "--expires-at", "2030-01-01", "--json"),
        ).json
        disabled = house.run("users", "disable", str(added["id"]), "--json").json
        listed = house.run("users", "list", "--json")
        shown = house.run("users", "list").out

        assert (added["name"], added["maxDevices"], added["stores"]) == ("Ann", 4, ["torbox"])
        assert added["expiresAt"] == "2030-01-01T00:00:00Z"
        assert added["auth"] == AUTH
        config = decode_user_config(added["manifestUrl"].split("/")[-2])
        assert [(one.code, one.auth) for one in config.stores] == [("tb", UUID(AUTH))]
        assert disabled["disabledAt"].endswith("Z")
        assert listed.json[-1] == disabled
        assert shown.splitlines()[-1].split() == [str(added["id"]), "Ann", "0/4", "0/2", "disabled"]
        assert AUTH not in listed.out + shown

    def test_upkeep_finds_all_well(self, house: House) -> None:
        audit = house.run("audit", "verify", "--json")
        migrated = house.run("migrate", "--json")
        examined = house.run("doctor", "--json")

        assert audit.json == {"ok": True, "firstBad": None}
        assert migrated.json["upToDate"] is True
        assert {one["subject"] for one in examined.json} >= {"database", "disk", "keys", "audit"}
        assert [done.code for done in (audit, migrated, examined)] == [0, 0, 0]


class TestAlone:
    def test_command_starts_the_database_for_its_run_and_ends_it(self, tmp_path: Path) -> None:
        with open_house(tmp_path) as house:
            added = house.run("users", "add", "Ben", "--json")
            listed = house.run("users", "list", "--json")

            assert "Applied migration" in added.err
            assert [user["name"] for user in listed.json] == ["Ben"]
            assert (listed.err.count("\n"), house.is_empty()) == (1, True)


class TestDevices:
    def test_device_that_has_played_is_listed_and_can_be_revoked(self, running: House) -> None:
        film = running.last.printed.film
        fetch(fetch(film).streams[0]["url"])

        (device,) = running.run("devices", "list", "1", "--json").json
        revoked = running.run("devices", "revoke", str(device["id"]), "--json").json
        shown = running.run("devices", "list", "1").out

        assert {"id", "userId", "deviceClass", "firstSeenAt", "lastSeenAt"} <= set(device)
        assert (device["deviceClass"], device["revokedAt"]) == ("ios", None)
        assert revoked == {"id": device["id"], "revoked": True}
        assert shown.splitlines()[-1].split()[-1] == "revoked"
        _soon(lambda: _shows(film, "Maximum device limit"))


class TestRunningServer:
    def test_changes_are_effective_within_two_seconds(self, tmp_path: Path) -> None:
        with open_house(tmp_path) as house:
            printed = house.start().printed
            user = house.run("users", "add", "Ann", "--json").json
            segment = encode_user_config(UUID(user["auth"]), ["demo"])
            theirs = printed.film.replace(printed.film.split("/")[5], segment)
            (stream,) = fetch(theirs).streams
            assert "/demo/" in fetch(stream["url"]).headers["location"]

            house.run("users", "disable", str(user["id"]))

            _soon(lambda: _shows(theirs, "User is disabled"))
            assert fetch(stream["url"]).headers["location"].endswith("/notice/unknown_user.mp4")
            assert len(fetch(printed.film).streams) == 1

            house.run("keys", "add", "torbox", stdin=KEY.encode())

            _soon(lambda: _shows(printed.film, "No pool key available"))


def _soon(is_so: Callable[[], bool]) -> None:
    until(is_so, _EFFECTIVE_SECONDS)


def _shows(url: str, text: str) -> bool:
    """Tell whether a list consists of one entry that says the text."""
    answer = fetch(url)
    return answer.status == 200 and len(answer.texts) == 1 and text in answer.texts[0]


@pytest.fixture(scope="module")
def refusals(running: House) -> dict[str | bytes, Done]:
    """What becomes of each command that is refused, and of each key that is none."""
    key = f"{KEY}-once".encode()
    first, *done = running.run_many(
        [
            ("keys add torbox", key),
            *((command, key) for command in REFUSED),
            *(("keys add torbox", bad) for bad in NO_KEYS),
        ]
    )
    assert first.code == 0
    return dict(zip([*REFUSED, *NO_KEYS], done, strict=True))


class TestRefusals:
    @pytest.mark.parametrize(
        "key", NO_KEYS, ids=["empty", "short", "blank", "two lines", "binary", "endless"]
    )
    def test_what_can_be_no_key_is_refused_and_not_repeated(
        self, refusals: dict[str | bytes, Done], key: bytes
    ) -> None:
        assert refused(refusals[key]) == "a key is 8 to 512 printable characters without blanks"

    @pytest.mark.parametrize("command", REFUSED)
    def test_refusal_is_one_line_and_exit_code_1(
        self, refusals: dict[str | bytes, Done], command: str
    ) -> None:
        assert refused(refusals[command]).startswith(REFUSED[command])

    @pytest.mark.parametrize(
        "command",
        [
            "nonsense", "keys", "keys add", "keys add nonsense", "keys add demo",
            "keys add torbox secret-as-an-argument", "keys add torbox --key secret",
            "keys add torbox --key-file /no/such/file", "keys add torbox --max-users 0",
            "keys add torbox --scope everybody", "keys add torbox --priority 99999999999",
            "keys disable", "keys disable one", f"keys disable {2**63}", "users add",
            "users add A --auth nonsense", "users add A --expires-at tomorrow",
            f"users add A --plays-per-day {2**31}", "users disable 0", "devices list",
            "config encode", "serve --nonsense",
        ],
    )  # fmt: skip
    def test_wrong_use_is_exit_code_2_before_anything_starts(self, command: str) -> None:
        result = CliRunner().invoke(main, command.split(), input=KEY)

        assert (result.exit_code, result.stdout) == (2, "")
        assert "Usage: " in result.stderr


class TestConfig:
    def test_decode_shows_no_secret(self) -> None:
        text = (
            f'{{"stores": [{{"c": "tb", "auth": "{AUTH}", "t": "CANARY-token"}}],'
            ' "indexers": [{"u": "https://i.example/CANARY", "ak": "CANARY-ak"}]}'
        )

        encoded = CliRunner().invoke(main, ["config", "encode", text])
        decoded = CliRunner().invoke(main, ["config", "decode", encoded.output.strip()])

        assert (encoded.exit_code, decoded.exit_code) == (0, 0)
        assert decode_user_config(encoded.output.strip()).stores[0].auth == UUID(AUTH)
        shown = Done(0, decoded.output, "").json
        assert shown["stores"][0]["code"] == "tb"
        assert shown["stores"][0]["authIsBroken"] is False
        assert shown["filter"]["excludeQualities"] == ["CAM"]
        assert "CANARY" not in decoded.output
        assert AUTH not in decoded.output

    def test_decode_names_what_holds_a_secret(self) -> None:
        segment = encode_user_config(UUID(AUTH), ["tb", "demo"])

        shown = Done(0, CliRunner().invoke(main, ["config", "decode", segment]).output, "").json

        assert [store["auth"][:3] for store in shown["stores"]] == ["***", "***"]
        assert [store["token"] for store in shown["stores"]] == [None, None]

    @pytest.mark.parametrize("command", [["decode", "%%%"], ["encode", '{"stores": "CANARY"}']])
    def test_broken_one_is_one_line(self, command: list[str]) -> None:
        result = CliRunner().invoke(main, ["config", *command])

        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: the configuration is not ")
        assert len(result.stderr.splitlines()) == 1
        assert "CANARY" not in result.stderr
