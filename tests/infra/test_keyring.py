"""Rings of keys: the first seals, all open, uses do not mix."""

import pytest

from infra.keyring import KeyRing

OLD, NEW = ("old", b"o" * 32), ("new", b"n" * 32)


@pytest.fixture
def rotated() -> KeyRing:
    return KeyRing([NEW, OLD])


def test_text_is_opened_by_the_ring_that_sealed_it() -> None:
    ring = KeyRing([OLD])

    assert ring.open("use", "old", ring.seal("use", b"text", b"about"), b"about") == b"text"


def test_empty_text_is_opened_too() -> None:
    ring = KeyRing([OLD])

    assert ring.open("use", "old", ring.seal("use", b"")) == b""


def test_first_key_seals_and_all_open(rotated: KeyRing) -> None:
    before = KeyRing([OLD]).seal("use", b"text")
    now = rotated.seal("use", b"text")

    assert (rotated.first, rotated.ids()) == ("new", ("new", "old"))
    assert rotated.open("use", "old", before) == b"text"
    assert KeyRing([NEW]).open("use", "new", now) == b"text"
    assert KeyRing([OLD]).open("use", "old", now) is None


@pytest.mark.parametrize(
    ("label", "key_id", "about"),
    [
        pytest.param("other use", "old", b"about", id="another use"),
        pytest.param("use", "new", b"about", id="another key of the ring"),
        pytest.param("use", "gone", b"about", id="a key that is not in the ring"),
        pytest.param("use", "old", b"", id="about nothing"),
        pytest.param("use", "old", b"about another", id="about something else"),
    ],
)
def test_sealed_text_opens_for_its_own_use_only(
    rotated: KeyRing, label: str, key_id: str, about: bytes
) -> None:
    sealed = KeyRing([OLD]).seal("use", b"text", b"about")

    assert rotated.open(label, key_id, sealed, about) is None


def test_any_changed_bit_shows() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal("use", b"text")

    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        assert ring.open("use", "old", bytes(changed)) is None


@pytest.mark.parametrize("length", [0, 1, 12, 13, 27])
def test_text_cut_short_does_not_open(length: int) -> None:
    ring = KeyRing([OLD])

    assert ring.open("use", "old", ring.seal("use", b"text")[:length]) is None


def test_digests_are_the_first_keys_first(rotated: KeyRing) -> None:
    digests = rotated.digests("use", b"text")

    assert digests == (rotated.digest("use", b"text"), KeyRing([OLD]).digest("use", b"text"))
    assert len(set(digests)) == 2


def test_digests_of_two_uses_differ() -> None:
    ring = KeyRing([OLD])

    assert ring.digest("use", b"text") != ring.digest("other use", b"text")


def test_ring_shows_its_ids_only(rotated: KeyRing) -> None:
    assert repr(rotated) == "KeyRing(new, old)"


@pytest.mark.parametrize(
    "keys", [pytest.param([], id="none"), pytest.param([OLD, ("old", b"x" * 32)], id="same id")]
)
def test_ring_without_a_key_or_with_an_id_twice_is_none(keys: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ValueError, match="a ring needs a key"):
        KeyRing(keys)
