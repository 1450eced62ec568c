"""Digests of passwords."""

from infra.scrypt import Scrypt
from infra.secret import Secret

PASSWORD = Secret("correct horse")


async def test_password_matches_its_digest_and_no_other_does() -> None:
    scrypt = Scrypt()
    stored = await scrypt.digest(PASSWORD)

    assert await scrypt.matches(PASSWORD, stored)
    assert not await scrypt.matches(Secret("correct horsf"), stored)
    assert not await scrypt.matches(Secret(""), stored)


async def test_digests_of_one_password_differ_and_do_not_hold_it() -> None:
    scrypt = Scrypt()

    one, two = await scrypt.digest(PASSWORD), await scrypt.digest(PASSWORD)

    assert one != two
    assert len(one) == 48
    assert PASSWORD.reveal().encode() not in one


async def test_nothing_matches_where_nothing_is_stored() -> None:
    scrypt = Scrypt()

    assert not await scrypt.matches(PASSWORD, None)
    assert not await scrypt.matches(PASSWORD, bytes(48))
