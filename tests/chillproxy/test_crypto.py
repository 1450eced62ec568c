"""Sealed keys are bound to their row and their ring; digests find things again."""

import hashlib
from uuid import UUID

import pytest

from chillproxy.crypto import PoolCrypto, hash_auth
from infra.keyring import KeyRing
from infra.secret import Secret

OLD, NEW = ("old", b"o" * 32), ("new", b"n" * 32)
SECRET = Secret("a-key-of-some-account")


@pytest.fixture
def crypto() -> PoolCrypto:
    return PoolCrypto(KeyRing([OLD]))


def test_sealed_key_is_opened_again(crypto: PoolCrypto) -> None:
    sealed = crypto.seal_key(7, "torbox", 1, SECRET)

    assert crypto.open_key(7, "torbox", 1, "old", sealed) == SECRET


@pytest.mark.parametrize(
    ("key_id", "store", "version"),
    [
        pytest.param(8, "torbox", 1, id="row of another key"),
        pytest.param(7, "premiumize", 1, id="another store"),
        pytest.param(7, "torbox", 2, id="another version"),
    ],
)
def test_key_sealed_for_one_row_does_not_open_in_another(
    crypto: PoolCrypto, key_id: int, store: str, version: int
) -> None:
    sealed = crypto.seal_key(7, "torbox", 1, SECRET)

    assert crypto.open_key(key_id, store, version, "old", sealed) is None


def test_key_sealed_before_a_rotation_opens_after_it(crypto: PoolCrypto) -> None:
    sealed = crypto.seal_key(7, "torbox", 1, SECRET)
    rotated = PoolCrypto(KeyRing([NEW, OLD]))

    assert rotated.open_key(7, "torbox", 1, "old", sealed) == SECRET


@pytest.mark.parametrize(
    ("ring", "kek_id"),
    [
        pytest.param([NEW], "old", id="retired"),
        pytest.param([NEW], "new", id="another's name on the row"),
        pytest.param([("old", b"x" * 32)], "old", id="another key of the same name"),
        pytest.param([NEW, OLD], "new", id="both there, the wrong one named"),
    ],
)
def test_key_does_not_open_without_the_very_kek(
    crypto: PoolCrypto, ring: list[tuple[str, bytes]], kek_id: str
) -> None:
    sealed = crypto.seal_key(7, "torbox", 1, SECRET)

    assert PoolCrypto(KeyRing(ring)).open_key(7, "torbox", 1, kek_id, sealed) is None


def test_same_key_is_sealed_differently_each_time(crypto: PoolCrypto) -> None:
    first, second = (crypto.seal_key(7, "torbox", 1, SECRET) for _ in range(2))

    assert first != second
    assert SECRET.reveal().encode() not in first


def test_fingerprints_under_a_rotated_ring_hold_the_one_of_before(crypto: PoolCrypto) -> None:
    before = crypto.fingerprints("torbox", SECRET)

    after = PoolCrypto(KeyRing([NEW, OLD])).fingerprints("torbox", SECRET)

    assert after[0] != before[0]
    assert before[0] in after


def test_fingerprint_tells_stores_apart(crypto: PoolCrypto) -> None:
    assert crypto.fingerprints("torbox", SECRET) != crypto.fingerprints("premiumize", SECRET)


def test_prints_are_the_present_id_first_and_then_by_the_rings_order() -> None:
    old, rotated = PoolCrypto(KeyRing([OLD])), PoolCrypto(KeyRing([NEW, OLD]))

    prints = rotated.prints(("now", "before"))

    assert len(set(prints)) == 4
    assert [prints[1], prints[3]] == old.prints(("now", "before"))


def test_prints_do_not_show_what_they_are_of(crypto: PoolCrypto) -> None:
    plain = hashlib.sha256(b"203.0.113.7|Stremio").hexdigest()

    assert crypto.prints((plain,))[0] != hashlib.sha256(plain.encode()).digest()


def test_uuid_is_hashed_in_its_one_canonical_form() -> None:
    text = "550E8400-E29B-41D4-A716-446655440000"

    assert hash_auth(UUID(text)) == hashlib.sha256(text.lower().encode()).digest()
