"""What every store promises, held against its simulator; the registry is in `subjects.py`."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from addon.errors import Kind, StoreError
from addon.stores.base import CacheState, Call, Page, RemoteFile, StoredTorrent, Tier, TorrentState
from addon.torrent import Magnet
from infra.clock import Deadline
from infra.http_client import HttpClient
from tests.contracts.subjects import (
    EXPIRED_KEY,
    KEY,
    LOCKED_KEY,
    ONE_SLOT_KEY,
    OTHER_KEY,
    SUBJECTS,
    WRONG_KEY,
    Open,
    Subject,
)
from tests.fakes.debrid import (
    ALSO_SLOW,
    BAD,
    DEAD,
    FILM,
    INFRINGING,
    OTHER_FILM,
    PACK,
    SLOW,
    TOO_LARGE,
    Fault,
    Release,
)

_ANY_FILE = RemoteFile(id="0", path="any.mkv")
_WAITING = {TorrentState.QUEUED, TorrentState.RESOLVING, TorrentState.DOWNLOADING}

Operation = Callable[[Subject, Call, str], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "account": lambda subject, call, _id: subject.store.account(call),
    "check": lambda subject, call, _id: subject.store.check(call, [FILM.info_hash]),
    "add": lambda subject, call, _id: subject.store.add(call, OTHER_FILM.magnet),
    "get": lambda subject, call, torrent_id: subject.store.get(call, torrent_id),
    "find": lambda subject, call, _id: subject.store.find(call, FILM.info_hash),
    "list": lambda subject, call, _id: subject.store.list(call),
    "remove": lambda subject, call, torrent_id: subject.store.remove(call, torrent_id),
    "link": lambda subject, call, torrent_id: subject.store.link(call, torrent_id, _ANY_FILE),
}
FAULTS = {
    Fault.THROTTLED: Kind.RATE_LIMITED,
    Fault.SERVER_ERROR: Kind.SERVICE_UNAVAILABLE,
    Fault.HTML: Kind.SERVICE_UNAVAILABLE,
    Fault.TRUNCATED: Kind.PROTOCOL,
    Fault.HANG: Kind.SERVICE_UNAVAILABLE,
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS)
each_fault = pytest.mark.parametrize(("fault", "kind"), FAULTS.items(), ids=list(FAULTS))


@pytest.fixture(params=SUBJECTS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    opened: Open = request.param
    async with opened() as subject:
        yield subject


def _seconds(fault: Fault) -> float:
    """Return a deadline: short where nothing will ever be answered."""
    return 0.05 if fault is Fault.HANG else 5.0


async def _ready(subject: Subject, release: Release, key: str = KEY) -> StoredTorrent:
    """Add a cached release and return it with its files."""
    added = await subject.store.add(subject.call(key), release.magnet)
    return await subject.store.get(subject.call(key), added.id)


async def _kind_of(awaitable: Awaitable[object]) -> Kind:
    with pytest.raises(StoreError) as caught:
        await awaitable
    return caught.value.kind


async def _fetch(url: str) -> bytes:
    async with HttpClient.open() as http:
        return (await http.send("GET", url, deadline=Deadline.after(5))).body


async def _pages(subject: Subject, limit: int) -> list[Page]:
    pages = [await subject.store.list(subject.call(), limit=limit)]
    while pages[-1].cursor is not None and len(pages) < 20:
        pages.append(await subject.store.list(subject.call(), cursor=pages[-1].cursor, limit=limit))
    return pages


# The account


async def test_account_of_a_paying_user_is_premium(subject: Subject) -> None:
    account = await subject.store.account(subject.call())

    assert account.tier is Tier.PREMIUM
    assert account.id


async def test_account_that_ended_is_not_premium(subject: Subject) -> None:
    account = await subject.store.account(subject.call(EXPIRED_KEY))

    assert account.tier in {Tier.EXPIRED, Tier.FREE}


async def test_adding_with_an_account_that_ended_needs_premium(subject: Subject) -> None:
    kind = await _kind_of(subject.store.add(subject.call(EXPIRED_KEY), FILM.magnet))

    assert kind is Kind.PREMIUM_REQUIRED


async def test_adding_with_an_account_in_trouble_says_so(subject: Subject) -> None:
    kind = await _kind_of(subject.store.add(subject.call(LOCKED_KEY), FILM.magnet))

    assert kind is subject.when_locked


@each_operation
async def test_wrong_key_is_invalid_everywhere(subject: Subject, operation: str) -> None:
    torrent = await _ready(subject, FILM)

    kind = await _kind_of(OPERATIONS[operation](subject, subject.call(WRONG_KEY), torrent.id))

    assert kind is Kind.AUTH_INVALID


async def test_accounts_do_not_see_each_other(subject: Subject) -> None:
    torrent = await _ready(subject, FILM, OTHER_KEY)

    found = await subject.store.find(subject.call(), FILM.info_hash)
    removed = await subject.store.remove(subject.call(), torrent.id)

    assert found is None
    assert removed is False
    assert subject.simulator.hashes_of(OTHER_KEY) == [FILM.info_hash]


# The cache check


async def test_check_answers_every_hash_once_in_lower_case(subject: Subject) -> None:
    asked = [FILM.info_hash.upper(), FILM.info_hash, SLOW.info_hash, "ab" * 20]

    answers = await subject.store.check(subject.call(), asked)

    assert set(answers) == {FILM.info_hash, SLOW.info_hash, "ab" * 20}
    assert all(answer.info_hash == text for text, answer in answers.items())


async def test_check_of_nothing_makes_no_call(subject: Subject) -> None:
    answers = await subject.store.check(subject.call(), [])

    assert answers == {}
    assert subject.simulator.asked == []


async def test_check_says_what_the_store_can_know(subject: Subject) -> None:
    answers = await subject.store.check(subject.call(), [FILM.info_hash, SLOW.info_hash])

    knows = subject.store.info.capabilities.native_check
    assert answers[FILM.info_hash].state is (CacheState.CACHED if knows else CacheState.UNKNOWN)
    assert answers[SLOW.info_hash].state is (CacheState.NOT_CACHED if knows else CacheState.UNKNOWN)


@pytest.mark.parametrize("beyond", [0, 1])
async def test_check_takes_more_hashes_than_fit_in_one_batch(subject: Subject, beyond: int) -> None:
    count = subject.store.info.capabilities.check_batch + beyond
    asked = [FILM.info_hash, *(f"{number:040x}" for number in range(1, count))]

    answers = await subject.store.check(subject.call(), asked)

    assert list(answers) == asked


async def test_check_of_hashes_that_nobody_has_is_not_an_error(subject: Subject) -> None:
    answers = await subject.store.check(subject.call(), ["ab" * 20])

    assert answers["ab" * 20].state is not CacheState.CACHED


async def test_check_leaves_the_account_as_it_was(subject: Subject) -> None:
    await subject.store.check(subject.call(), [FILM.info_hash, SLOW.info_hash])

    assert subject.simulator.hashes_of(KEY) == []


# Adding


async def test_cached_torrent_is_ready_with_its_files_at_once(subject: Subject) -> None:
    torrent = await _ready(subject, PACK)

    assert torrent.state is TorrentState.READY
    assert torrent.info_hash == PACK.info_hash
    sizes = {file.path.rpartition("/")[2]: file.size_bytes for file in torrent.files or ()}
    assert sizes == {path.rpartition("/")[2]: len(content) for path, content in PACK.files}


async def test_add_does_not_wait_for_metadata(subject: Subject) -> None:
    torrent = await subject.store.add(subject.call(), SLOW.magnet)

    assert torrent.state in _WAITING
    assert torrent.files is None


async def test_torrent_that_nobody_knows_is_taken_and_waits(subject: Subject) -> None:
    torrent = await subject.store.add(subject.call(), Magnet("ab" * 20))

    assert torrent.state in _WAITING


@pytest.mark.parametrize("release", [FILM, SLOW], ids=["cached", "slow"])
async def test_adding_twice_makes_one_item(subject: Subject, release: Release) -> None:
    first = await subject.store.add(subject.call(), release.magnet)
    second = await subject.store.add(subject.call(), release.magnet)

    assert second.id == first.id
    assert subject.simulator.hashes_of(KEY) == [release.info_hash]


async def test_adding_twice_at_once_makes_one_item(subject: Subject) -> None:
    await asyncio.gather(
        subject.store.add(subject.call(), FILM.magnet),
        subject.store.add(subject.call(), FILM.magnet),
    )

    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash]


async def test_only_if_cached_takes_what_is_cached(subject: Subject) -> None:
    torrent = await subject.store.add(subject.call(), FILM.magnet, only_if_cached=True)

    assert torrent.state is TorrentState.READY
    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash]


@pytest.mark.parametrize("release", [SLOW, DEAD], ids=["slow", "dead"])
async def test_only_if_cached_leaves_nothing_behind(subject: Subject, release: Release) -> None:
    adding = subject.store.add(subject.call(), release.magnet, only_if_cached=True)

    assert await _kind_of(adding) is Kind.NOT_CACHED
    assert subject.simulator.hashes_of(KEY) == []


async def test_only_if_cached_keeps_a_download_that_was_there(subject: Subject) -> None:
    await subject.store.add(subject.call(), SLOW.magnet)

    adding = subject.store.add(subject.call(), SLOW.magnet, only_if_cached=True)

    assert await _kind_of(adding) is Kind.NOT_CACHED
    assert subject.simulator.hashes_of(KEY) == [SLOW.info_hash]


@pytest.mark.parametrize("only_if_cached", [False, True])
async def test_torrent_without_its_bytes_is_added_anew(
    subject: Subject, only_if_cached: bool
) -> None:
    await _ready(subject, FILM)
    subject.simulator.lose(KEY, FILM.info_hash)

    torrent = await subject.store.add(subject.call(), FILM.magnet, only_if_cached=only_if_cached)

    assert torrent.state is TorrentState.READY
    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash]


@pytest.mark.parametrize(
    ("release", "kind"),
    [
        (INFRINGING, Kind.INFRINGING),
        (TOO_LARGE, Kind.TOO_LARGE),
        (BAD, Kind.BAD_TORRENT),
    ],
    ids=["infringing", "too-large", "bad"],
)
async def test_torrent_that_is_refused_says_why(
    subject: Subject, release: Release, kind: Kind
) -> None:
    assert await _kind_of(subject.store.add(subject.call(), release.magnet)) is kind
    assert subject.simulator.hashes_of(KEY) == []


async def test_full_account_refuses_or_queues(subject: Subject) -> None:
    await subject.store.add(subject.call(ONE_SLOT_KEY), SLOW.magnet)

    adding = subject.store.add(subject.call(ONE_SLOT_KEY), ALSO_SLOW.magnet)

    if subject.when_full is None:
        assert (await adding).state is TorrentState.QUEUED
    else:
        assert await _kind_of(adding) is subject.when_full


async def test_add_whose_answer_got_lost_is_found_and_not_repeated(subject: Subject) -> None:
    subject.simulator.script.fail(Fault.LOST_REPLY, method="POST")

    torrent = await subject.store.add(subject.call(seconds=0.6), FILM.magnet)

    assert torrent.info_hash == FILM.info_hash
    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash]


async def test_add_that_never_arrived_is_an_error(subject: Subject) -> None:
    subject.simulator.script.fail(Fault.HANG, method="POST")

    kind = await _kind_of(subject.store.add(subject.call(seconds=0.6), FILM.magnet))

    assert kind is Kind.SERVICE_UNAVAILABLE
    assert subject.simulator.hashes_of(KEY) == []


# Looking


@pytest.mark.parametrize("torrent_id", ["987654", "q:987654", "no-such-id", "", "../../user/me"])
async def test_torrent_with_another_id_is_not_found(subject: Subject, torrent_id: str) -> None:
    await _ready(subject, FILM)

    assert await _kind_of(subject.store.get(subject.call(), torrent_id)) is Kind.NOT_FOUND


@pytest.mark.parametrize("written", [str.lower, str.upper])
async def test_torrent_is_found_by_its_hash(
    subject: Subject, written: Callable[[str], str]
) -> None:
    await _ready(subject, OTHER_FILM)
    torrent = await _ready(subject, FILM)

    found = await subject.store.find(subject.call(), written(FILM.info_hash))

    assert found is not None
    assert found.id == torrent.id


async def test_torrent_that_is_not_there_is_not_found_by_its_hash(subject: Subject) -> None:
    await _ready(subject, OTHER_FILM)

    assert await subject.store.find(subject.call(), FILM.info_hash) is None


async def test_nothing_is_found_in_an_empty_account(subject: Subject) -> None:
    assert await subject.store.find(subject.call(), FILM.info_hash) is None


async def test_download_ends_ready_with_progress_that_only_grows(subject: Subject) -> None:
    added = await subject.store.add(subject.call(), SLOW.magnet)

    seen = []
    for _ in range(13):
        subject.clock.advance(timedelta(minutes=5))
        seen.append(await subject.store.get(subject.call(), added.id))

    shares = [torrent.progress for torrent in seen if torrent.progress is not None]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert seen[-1].state is TorrentState.READY
    assert seen[-1].files


async def test_torrent_without_its_bytes_is_expired(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    subject.simulator.lose(KEY, FILM.info_hash)

    seen = await subject.store.get(subject.call(), torrent.id)

    assert seen.state is TorrentState.EXPIRED


async def test_list_of_an_empty_account_is_empty(subject: Subject) -> None:
    assert await subject.store.list(subject.call()) == Page(items=(), cursor=None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_pages_hold_each_torrent_once(subject: Subject, limit: int) -> None:
    releases = [FILM, OTHER_FILM, PACK, SLOW]
    for release in releases:
        await subject.store.add(subject.call(), release.magnet)

    pages = await _pages(subject, limit)

    seen = [torrent.info_hash for page in pages for torrent in page.items]
    assert sorted(seen, key=str) == sorted(release.info_hash for release in releases)
    assert all(len(page.items) <= limit for page in pages)
    assert pages[-1].cursor is None


async def test_foreign_cursor_is_a_bad_request(subject: Subject) -> None:
    kind = await _kind_of(subject.store.list(subject.call(), cursor="not-a-cursor"))

    assert kind is Kind.BAD_REQUEST


# Removing


async def test_removing_twice_is_no_error(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    await _ready(subject, OTHER_FILM)

    first = await subject.store.remove(subject.call(), torrent.id)
    second = await subject.store.remove(subject.call(), torrent.id)

    assert (first, second) == (True, False)
    assert subject.simulator.hashes_of(KEY) == [OTHER_FILM.info_hash]


@pytest.mark.parametrize("torrent_id", ["987654", "q:987654", "no-such-id", "", "*"])
async def test_removing_what_was_never_there_removes_nothing(
    subject: Subject, torrent_id: str
) -> None:
    await _ready(subject, FILM)

    assert await subject.store.remove(subject.call(), torrent_id) is False
    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash]


# Links


@pytest.mark.parametrize("release", [FILM, PACK], ids=["one-file", "pack"])
async def test_links_lead_to_the_very_files(subject: Subject, release: Release) -> None:
    torrent = await _ready(subject, release)

    fetched = {}
    for file in torrent.files or ():
        link = await subject.store.link(subject.call(), torrent.id, file)
        fetched[file.path.rpartition("/")[2]] = await _fetch(link.url)

    assert fetched == {path.rpartition("/")[2]: content for path, content in release.files}


async def test_link_lives_as_long_as_the_store_says(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)

    link = await subject.store.link(subject.call(), torrent.id, (torrent.files or ())[0])

    assert link.expires_in == subject.store.info.capabilities.link_ttl


async def test_link_of_a_download_is_not_ready(subject: Subject) -> None:
    torrent = await subject.store.add(subject.call(), SLOW.magnet)

    kind = await _kind_of(subject.store.link(subject.call(), torrent.id, _ANY_FILE))

    assert kind is Kind.NOT_READY


async def test_link_of_a_torrent_without_its_bytes_is_gone(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    subject.simulator.lose(KEY, FILM.info_hash)

    kind = await _kind_of(subject.store.link(subject.call(), torrent.id, (torrent.files or ())[0]))

    assert kind is Kind.FILE_GONE


async def test_link_of_a_file_that_is_not_in_the_torrent_is_gone(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    file = RemoteFile(id="77", path="elsewhere.mkv")

    assert await _kind_of(subject.store.link(subject.call(), torrent.id, file)) is Kind.FILE_GONE


async def test_link_of_a_removed_torrent_is_not_found(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    await subject.store.remove(subject.call(), torrent.id)

    kind = await _kind_of(subject.store.link(subject.call(), torrent.id, (torrent.files or ())[0]))

    assert kind is Kind.NOT_FOUND


# Failures


@each_operation
@each_fault
async def test_failure_is_told_by_its_kind(
    subject: Subject, fault: Fault, kind: Kind, operation: str
) -> None:
    torrent = await _ready(subject, FILM)
    subject.simulator.script.fail(fault, times=100)

    with pytest.raises(StoreError) as caught:
        await OPERATIONS[operation](subject, subject.call(seconds=_seconds(fault)), torrent.id)

    assert caught.value.kind is kind
    assert caught.value.store == subject.store.info.name


async def test_throttled_call_says_how_long_to_wait(subject: Subject) -> None:
    subject.simulator.script.fail(Fault.THROTTLED, times=100)

    with pytest.raises(StoreError) as caught:
        await subject.store.account(subject.call())

    assert caught.value.retry_after is not None
    assert timedelta(0) < caught.value.retry_after <= timedelta(hours=1)


@each_fault
async def test_store_works_again_after_a_failure(
    subject: Subject, fault: Fault, kind: Kind
) -> None:
    subject.simulator.script.fail(fault)
    assert await _kind_of(subject.store.account(subject.call(seconds=_seconds(fault)))) is kind

    account = await subject.store.account(subject.call())

    assert account.tier is Tier.PREMIUM


@each_operation
@each_fault
async def test_key_stands_in_no_error(
    subject: Subject, fault: Fault, kind: Kind, operation: str
) -> None:
    torrent = await _ready(subject, FILM)
    subject.simulator.script.fail(fault, times=100)

    with pytest.raises(StoreError) as caught:
        await OPERATIONS[operation](subject, subject.call(seconds=_seconds(fault)), torrent.id)

    text = "".join(traceback.format_exception(caught.value))
    assert KEY not in text + repr(caught.value) + repr(vars(caught.value))


async def test_key_stands_in_nothing_that_is_handed_out(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)
    link = await subject.store.link(subject.call(), torrent.id, (torrent.files or ())[0])

    texts = [repr(subject.store), repr(subject.call()), repr(torrent), link.url, repr(link)]

    assert not [text for text in texts if KEY in text]


async def test_link_does_not_print(subject: Subject) -> None:
    torrent = await _ready(subject, FILM)

    link = await subject.store.link(subject.call(), torrent.id, (torrent.files or ())[0])

    assert link.url not in f"{link} {link!r}"


async def test_key_goes_to_the_store_only_where_it_says_who_asks(subject: Subject) -> None:
    await _ready(subject, FILM)

    assert not [asked for asked in subject.simulator.asked if KEY in asked.path + str(asked.body)]
