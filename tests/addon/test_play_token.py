"""The two sealed halves of a play URL."""

import base64
import random
import string
from uuid import UUID

import msgspec
import pytest

from addon.device import Device
from addon.play_token import PlayTokens, StoreAccess, What, Who
from addon.titles.pack import same_file
from addon.torrent import TorrentFile
from addon.urls import Urls
from infra.errors import ConfigInvalid
from infra.keyring import KeyRing
from infra.secret import Secret

NEW, OLD, FOREIGN = ("new", b"n" * 32), ("old", b"o" * 32), ("new", b"f" * 32)
DEVICE = Device(("0" * 32, "f" * 32), "chromium", b"network-digest-0")
AUTH = UUID("550e8400-e29b-41d4-a716-446655440000").bytes
TOKEN = "own-token-0123456789"
WHO = Who(
    (StoreAccess("tb", AUTH, TOKEN), StoreAccess("rd", b"", "")),
    DEVICE.ids, DEVICE.device_class, DEVICE.network,
)  # fmt: skip
WHAT = What(
    media="tt0386676:5:1",
    info_hash="0123456789abcdef" * 2 + "01234567",
    path="Example.Show.S05/Example.Show.S05E01.1080p.mkv",
    size_bytes=2**41,
    stores=("tb", "rd"),
    scope="",
    name="Example.Show.S05.1080p",
    quality="1080p WEB-DL",
    cached=True,
)
BASE = "https://a-rather-long-name.of-a-server.example/with/a-prefix"  # 60 characters


@pytest.fixture
def tokens() -> PlayTokens:
    return PlayTokens(KeyRing([NEW, OLD]))


def tokens_of(*keys: tuple[str, bytes]) -> PlayTokens:
    return PlayTokens(KeyRing(keys))


def long_who(characters: str, *, length: int = 100) -> Who:
    chance = random.Random(7)
    codes = ("tb", "rd", "ad", "pm", "dl")
    stores = (
        StoreAccess(code, AUTH, "".join(chance.choice(characters) for _ in range(length)))
        for code in codes
    )
    return msgspec.structs.replace(WHO, stores=tuple(stores))


def long_what(path: str, name: str) -> What:
    return msgspec.structs.replace(
        WHAT, path=path, name=name, media="kitsu:999999999:9999", size_bytes=2**53,
        stores=("tb", "rd", "ad", "pm", "dl"), scope="s" * 32, quality="2160p BluRay REMUX",
    )  # fmt: skip


class TestRoundTrip:
    def test_who_comes_back_with_the_device_that_asked(self, tokens: PlayTokens) -> None:
        opened = tokens.open_who(tokens.seal_who(WHO))

        assert opened == WHO
        assert opened.device == DEVICE
        assert opened.stores[0].own_token == Secret(TOKEN)
        assert opened.stores[1].own_token is None

    @pytest.mark.parametrize(
        "what",
        [
            WHAT,
            msgspec.structs.replace(WHAT, path="", size_bytes=None, cached=False, stores=()),
            msgspec.structs.replace(WHAT, path="Серия/Сезон 1/Серия 01 🎬.mkv", name="Серия"),
            msgspec.structs.replace(WHAT, path="\0\x1a\"\\'/../..", name="\n"),
        ],
        ids=["usual", "unknown-file", "other-scripts", "hostile-names"],
    )
    def test_what_comes_back(self, tokens: PlayTokens, what: What) -> None:
        assert tokens.open_what(tokens.seal_what(what)) == what

    def test_halves_are_plain_url_segments(self, tokens: PlayTokens) -> None:
        allowed = set(string.ascii_letters + string.digits + "-_")

        assert set(tokens.seal_who(WHO) + tokens.seal_what(WHAT)) <= allowed

    def test_two_seals_of_one_thing_differ(self, tokens: PlayTokens) -> None:
        assert tokens.seal_what(WHAT) != tokens.seal_what(WHAT)


class TestForgery:
    @pytest.mark.parametrize("half", ["who", "what"])
    def test_no_changed_byte_is_accepted(self, tokens: PlayTokens, half: str) -> None:
        text = tokens.seal_who(WHO) if half == "who" else tokens.seal_what(WHAT)
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

        for place in range(len(data)):
            for flip in (0x01, 0x80, 0xFF):
                changed = bytearray(data)
                changed[place] ^= flip
                forged = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
                assert tokens.open_who(forged) is None
                assert tokens.open_what(forged) is None

    def test_no_part_of_a_half_is_accepted(self, tokens: PlayTokens) -> None:
        text = tokens.seal_what(WHAT)

        opened = {tokens.open_what(text[:end]) for end in range(len(text))}

        assert opened == {None}

    def test_one_half_is_not_the_other(self, tokens: PlayTokens) -> None:
        assert tokens.open_what(tokens.seal_who(WHO)) is None
        assert tokens.open_who(tokens.seal_what(WHAT)) is None

    def test_seal_of_another_ring_is_not_accepted(self, tokens: PlayTokens) -> None:
        assert tokens.open_who(tokens_of(FOREIGN).seal_who(WHO)) is None

    def test_seal_of_another_use_of_the_same_key_is_not_accepted(self, tokens: PlayTokens) -> None:
        head = b"\x01\x03new"
        sealed = KeyRing([NEW]).seal("saved config", msgspec.msgpack.encode(WHAT), head)

        forged = base64.urlsafe_b64encode(head + sealed).rstrip(b"=").decode()

        assert tokens.open_what(forged) is None

    def test_only_one_text_opens(self, tokens: PlayTokens) -> None:
        text = tokens.seal_what(WHAT)
        others = [
            text + "=", text + "==", text + "A", text + "\n", " " + text, text + "!", "!" + text,
            text[:9] + "." + text[9:], text.replace(text[9], text[9] + "*", 1), text + "é",
        ]  # fmt: skip
        others += [text[:-1] + last for last in set(string.ascii_letters) - {text[-1]}]

        assert {tokens.open_what(other) for other in others} == {None}

    @pytest.mark.parametrize(
        "text",
        [
            "", "A", "AA", "AQ", "AQA", "Af8", "AQNuZXc", "x" * 50, "\ud800", "é" * 10, "\0",
            "A" * 870, "A" * 100_000,
        ],
        ids=range(13),
    )  # fmt: skip
    def test_what_nobody_sealed_is_nothing(self, tokens: PlayTokens, text: str) -> None:
        assert tokens.open_who(text) is None
        assert tokens.open_what(text) is None


class TestRotation:
    def test_seal_of_the_old_key_still_opens(self, tokens: PlayTokens) -> None:
        old = tokens_of(OLD)

        assert tokens.open_who(old.seal_who(WHO)) == WHO
        assert tokens.open_what(old.seal_what(WHAT)) == WHAT

    def test_key_that_was_taken_out_opens_nothing(self, tokens: PlayTokens) -> None:
        assert tokens_of(OLD).open_what(tokens.seal_what(WHAT)) is None

    def test_first_key_seals(self, tokens: PlayTokens) -> None:
        assert tokens_of(NEW).open_what(tokens.seal_what(WHAT)) == WHAT


class TestLength:
    @pytest.mark.parametrize("key_id", ["k", "k" * 16], ids=["short-key-id", "longest-key-id"])
    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("p" * 300, "n" * 300),
            ("/".join(["folder"] * 43), "n" * 300),
            ("ж" * 150, "щ" * 150),
            ("🎬" * 75, "🎬" * 75),
            ("", "n" * 300),
        ],
        ids=["one-name", "folders", "two-bytes", "four-bytes", "no-path"],
    )
    def test_whole_url_stays_short(self, key_id: str, path: str, name: str) -> None:
        tokens = tokens_of((key_id, b"k" * 32), OLD)
        urls = Urls(BASE)
        who = tokens.seal_who(long_who(string.ascii_letters + string.digits + "-_"))
        what = tokens.seal_what(long_what(path, name))

        url = urls.play_head() + who + urls.play_tail(what, f"{path} {name}.mkv")

        assert len(BASE) == 60
        assert len(url) < 1_500
        assert tokens.open_what(what) is not None

    def test_keys_that_no_url_can_carry_are_refused(self, tokens: PlayTokens) -> None:
        with pytest.raises(ConfigInvalid, match="too long"):
            tokens.seal_who(long_who(string.printable, length=300))

    def test_what_is_sealed_can_be_opened(self, tokens: PlayTokens) -> None:
        for length in range(0, 200, 5):
            who = long_who(string.ascii_letters, length=length)
            try:
                text = tokens.seal_who(who)
            except ConfigInvalid:
                assert length > 100
                return
            assert tokens.open_who(text) == who
        pytest.fail("no length is too long")

    def test_long_path_keeps_whole_folders_up_to_the_file(self, tokens: PlayTokens) -> None:
        path = f"{'long-folder-name/' * 10}Season 1/Example.Show.S01E01.mkv"
        what = msgspec.structs.replace(WHAT, path=path)

        opened = tokens.open_what(tokens.seal_what(what))

        assert opened is not None
        assert opened.path.startswith("long-folder-name/")
        assert path.endswith(f"/{opened.path}")
        files = [TorrentFile(path, WHAT.size_bytes), TorrentFile("other.mkv", WHAT.size_bytes)]
        assert same_file(opened.path, opened.size_bytes, files) == files[0]

    def test_long_file_name_keeps_its_end(self, tokens: PlayTokens) -> None:
        what = msgspec.structs.replace(WHAT, path=f"folder/{'é' * 200}.mkv")

        opened = tokens.open_what(tokens.seal_what(what))

        assert opened is not None
        assert opened.path == "é" * 58 + ".mkv"

    def test_long_name_keeps_its_beginning(self, tokens: PlayTokens) -> None:
        what = msgspec.structs.replace(WHAT, path="", name="Example.Show.S05." + "é" * 200)

        opened = tokens.open_what(tokens.seal_what(what))

        assert opened is not None
        assert opened.name == "Example.Show.S05." + "é" * 71


def test_no_secret_prints() -> None:
    printed = f"{WHO!r} {WHO.stores}"

    assert TOKEN not in printed
    assert repr(AUTH) not in printed
    assert "'tb'" in printed
