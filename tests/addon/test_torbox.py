"""What is particular to TorBox: its words, codes, encodings and quirks."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from addon.errors import Kind, StoreError
from addon.stores.base import CacheState, Call, Rate, RemoteFile, StoredTorrent, Tier, TorrentState
from addon.stores.torbox import ERRORS, INFO, TorBox
from infra.clock import Deadline
from infra.http_client import HttpClient, Reply
from infra.limits import Budget
from infra.secret import Secret
from tests.contracts.subjects import (
    KEY,
    ONE_SLOT_KEY,
    OTHER_KEY,
    TORBOX,
    Subject,
    open_torbox,
)
from tests.fakes.clock import FakeClock
from tests.fakes.debrid import ALSO_SLOW, CATALOGUE, DEAD, FILM, PACK, PRIVATE, SLOW, Fault, release
from tests.fakes.server import serve
from tests.fakes.torbox import PREFIX, Account, Switches, TorBoxSimulator

_FILE = RemoteFile(id="0", path="any.mkv")
_LIST = "/torrents/mylist"
_CREATE = "/torrents/createtorrent"
_UNSEEN = release("Unseen.2024", FILM.fate)


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    async with open_torbox(TORBOX) as subject:
        yield subject


@pytest.fixture
def simulator(subject: Subject) -> TorBoxSimulator:
    assert isinstance(subject.simulator, TorBoxSimulator)
    return subject.simulator


def _answer(data: object, status: int = 200, **envelope: object) -> Response:
    body = {"success": True, "error": None, "detail": "Done.", "data": data, **envelope}
    return JSONResponse(body, status)


def _refusal(code: object, detail: object = "No.", status: int = 400) -> Response:
    return _answer(None, status, success=False, error=code, detail=detail)


async def _error_of_account(subject: Subject, *answers: Response) -> StoreError:
    for answer in answers:
        subject.simulator.script.fail(answer, path="/user/me")
    with pytest.raises(StoreError) as caught:
        await subject.store.account(subject.call())
    return caught.value


async def _get_row(subject: Subject, row: dict[str, Any]) -> StoredTorrent:
    """Return what the client makes of one row of the list."""
    subject.simulator.script.fail(_answer({"id": 5, **row}), path=_LIST)
    return await subject.store.get(subject.call(), "5")


# States


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("queued", TorrentState.QUEUED),
        ("queuedDL", TorrentState.QUEUED),
        ("metaDL", TorrentState.RESOLVING),
        ("forcedMetaDL", TorrentState.RESOLVING),
        ("checkingResumeData", TorrentState.RESOLVING),
        ("checkingDL", TorrentState.RESOLVING),
        ("checking", TorrentState.RESOLVING),
        ("allocating", TorrentState.RESOLVING),
        ("downloading", TorrentState.DOWNLOADING),
        ("Downloading (3 peers)", TorrentState.DOWNLOADING),
        ("forcedDL", TorrentState.DOWNLOADING),
        ("stalled (no seeds)", TorrentState.DOWNLOADING),
        ("stalledDL", TorrentState.DOWNLOADING),
        ("paused", TorrentState.DOWNLOADING),
        ("pausedDL", TorrentState.DOWNLOADING),
        ("stoppedDL", TorrentState.DOWNLOADING),
        ("uploading", TorrentState.PROCESSING),
        ("uploading (no peers)", TorrentState.PROCESSING),
        ("stalledUP", TorrentState.PROCESSING),
        ("pausedUP", TorrentState.PROCESSING),
        ("queuedUP", TorrentState.PROCESSING),
        ("checkingUP", TorrentState.PROCESSING),
        ("forcedUP", TorrentState.PROCESSING),
        ("completed", TorrentState.PROCESSING),
        ("cached", TorrentState.PROCESSING),
        ("processing", TorrentState.PROCESSING),
        ("compressing", TorrentState.PROCESSING),
        ("moving", TorrentState.PROCESSING),
        ("error", TorrentState.FAILED),
        ("failed", TorrentState.FAILED),
        ("failed (no space)", TorrentState.FAILED),
        ("missingFiles", TorrentState.FAILED),
        ("expired", TorrentState.EXPIRED),
        ("reported missing", TorrentState.EXPIRED),
        ("unknown", TorrentState.UNKNOWN),
        ("a word of next year", TorrentState.UNKNOWN),
        ("", TorrentState.UNKNOWN),
        (None, TorrentState.UNKNOWN),
    ],
)
async def test_word_of_an_unfinished_torrent_has_a_state(
    subject: Subject, word: str | None, state: TorrentState
) -> None:
    torrent = await _get_row(subject, {"download_state": word})

    assert torrent.state is state
    assert torrent.raw_state == (word or "")


@pytest.mark.parametrize("word", ["cached", "completed", "uploading", "stalledDL", "error", None])
async def test_torrent_that_is_finished_and_present_is_ready_whatever_the_word(
    subject: Subject, word: str | None
) -> None:
    row = {"download_state": word, "download_finished": True, "download_present": True}

    torrent = await _get_row(subject, row)

    assert torrent.state is TorrentState.READY


@pytest.mark.parametrize(
    ("row", "state"),
    [
        ({}, TorrentState.PROCESSING),
        ({"cached": False}, TorrentState.PROCESSING),
        ({"cached": True, "cached_at": "2026-01-01T00:00:00Z"}, TorrentState.PROCESSING),
        ({"cached": False, "cached_at": "2026-01-01T00:00:00Z"}, TorrentState.EXPIRED),
        (
            {"cached": False, "cached_at": "2026-01-01T00:00:00Z", "active": True},
            TorrentState.PROCESSING,
        ),
        (
            {"cached": False, "cached_at": "2026-01-01T00:00:00Z", "download_state": "uploading"},
            TorrentState.PROCESSING,
        ),
        ({"cached": False, "expires_at": "2026-01-01T11:59:59Z"}, TorrentState.EXPIRED),
        ({"cached": False, "expires_at": "2026-01-01T12:00:01Z"}, TorrentState.PROCESSING),
        ({"download_state": "error"}, TorrentState.FAILED),
        ({"download_state": "reported missing"}, TorrentState.EXPIRED),
    ],
    ids=[
        "bare",
        "never-cached",
        "cached",
        "was-cached",
        "comes-back",
        "uploads",
        "time-is-up",
        "time-is-not-up",
        "error",
        "reported",
    ],
)
async def test_finished_torrent_that_is_not_present_is_processing_or_gone(
    subject: Subject, row: dict[str, Any], state: TorrentState
) -> None:
    torrent = await _get_row(
        subject,
        {"download_state": "completed", "download_finished": True, "download_present": False} | row,
    )

    assert torrent.state is state


@pytest.mark.parametrize(
    ("age", "active", "state"),
    [
        (timedelta(hours=23), False, TorrentState.DOWNLOADING),
        (timedelta(hours=25), False, TorrentState.FAILED),
        (timedelta(hours=25), True, TorrentState.DOWNLOADING),
    ],
    ids=["recent", "old", "old-and-active"],
)
async def test_stalled_torrent_fails_after_a_day(
    subject: Subject, simulator: TorBoxSimulator, age: timedelta, active: bool, state: TorrentState
) -> None:
    item = simulator.put(KEY, DEAD, active=active)
    subject.clock.advance(age)

    torrent = await subject.store.get(subject.call(), str(item.id))

    assert torrent.state is state


async def test_failed_and_expired_torrents_have_a_reason(subject: Subject) -> None:
    failed = await _get_row(subject, {"download_state": "error"})
    expired = await _get_row(subject, {"download_state": "expired"})
    running = await _get_row(subject, {"download_state": "downloading"})

    assert (failed.reason, expired.reason, running.reason) == (Kind.UNKNOWN, Kind.FILE_GONE, None)


# Errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *ERRORS.items(),
        ("NO_SERVERS_AVAILABLE_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("DOWNLOAD_SERVER_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("DATABASE_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("UNKNOWN_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("SEARCH_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("REDIRECT_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("SELLIX_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("BRAND_NEW_ERROR", Kind.SERVICE_UNAVAILABLE),
        ("DIFF_ISSUE", Kind.UNKNOWN),
        ("DUPLICATE_ITEM", Kind.UNKNOWN),
        ("BRAND_NEW", Kind.UNKNOWN),
    ],
)
async def test_code_has_a_kind(subject: Subject, code: str, kind: Kind) -> None:
    error = await _error_of_account(subject, _refusal(code), _refusal(code))

    assert error.kind is kind
    assert error.provider_code == code
    assert error.http_status == 400


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("BAD_TOKEN", Kind.AUTH_INVALID),
        ("PLAN_RESTRICTED_FEATURE", Kind.PREMIUM_REQUIRED),
        ("MONTHLY_LIMIT", Kind.QUOTA_EXHAUSTED),
        ("COOLDOWN_LIMIT", Kind.RATE_LIMITED),
        ("ACTIVE_LIMIT", Kind.SLOTS_FULL),
        ("DOWNLOAD_TOO_LARGE", Kind.TOO_LARGE),
        ("DOWNLOAD_NOT_CACHED", Kind.NOT_CACHED),
        ("ITEM_NOT_FOUND", Kind.NOT_FOUND),
        ("NOT_OWNER", Kind.NOT_FOUND),
        ("BOZO_TORRENT", Kind.BAD_TORRENT),
        ("INVALID_OPTION", Kind.BAD_REQUEST),
        ("ENDPOINT_NOT_FOUND", Kind.BAD_REQUEST),
        ("DOWNSTREAM_ERROR", Kind.HOSTER_DOWN),
        ("OAUTH_VERIFICATION_ERROR", Kind.AUTH_INVALID),
    ],
)
def test_table_of_codes_holds_what_decisions_rest_on(code: str, kind: Kind) -> None:
    assert ERRORS[code] is kind


@pytest.mark.parametrize("code", ["DIFF_ISSUE", None, False, "BRAND_NEW"])
@pytest.mark.parametrize(
    ("detail", "kind"),
    [
        ("You have reached the MAXIMUM queued items", Kind.SLOTS_FULL),
        ("Private torrent downloading is disabled.", Kind.BAD_TORRENT),
        ("Removed after a copyright complaint", Kind.INFRINGING),
        ("This is infringing content", Kind.INFRINGING),
        ("Torrent not found in cache", Kind.NOT_CACHED),
        ("The torrent is Not Cached", Kind.NOT_CACHED),
        ("You are on cooldown", Kind.RATE_LIMITED),
    ],
)
async def test_text_decides_where_the_code_does_not(
    subject: Subject, code: object, detail: str, kind: Kind
) -> None:
    error = await _error_of_account(subject, _refusal(code, detail))

    assert error.kind is kind


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PlainTextResponse("No", 400), Kind.BAD_REQUEST),
        (PlainTextResponse("No", 401), Kind.AUTH_INVALID),
        (PlainTextResponse("No", 402), Kind.PREMIUM_REQUIRED),
        (PlainTextResponse("No", 403), Kind.AUTH_INVALID),
        (PlainTextResponse("No", 404), Kind.NOT_FOUND),
        (PlainTextResponse("No", 408), Kind.SERVICE_UNAVAILABLE),
        (PlainTextResponse("No", 429), Kind.RATE_LIMITED),
        (PlainTextResponse("No", 451), Kind.INFRINGING),
        (PlainTextResponse("No", 500), Kind.SERVICE_UNAVAILABLE),
        (PlainTextResponse("No", 520), Kind.SERVICE_UNAVAILABLE),
        (HTMLResponse("<p>No", 403), Kind.SERVICE_UNAVAILABLE),
        (HTMLResponse("<p>Welcome", 200), Kind.SERVICE_UNAVAILABLE),
        (HTMLResponse("<p>Slow down", 429), Kind.RATE_LIMITED),
        (PlainTextResponse("Yes", 200), Kind.PROTOCOL),
        (Response(status_code=302, headers={"Location": "/"}), Kind.PROTOCOL),
        (JSONResponse({"detail": "60 per 1 hour"}, 429), Kind.RATE_LIMITED),
        (_refusal(None, "60 per 1 hour", 429), Kind.RATE_LIMITED),
        (_answer(None, 429, success=None, error="BRAND_NEW"), Kind.RATE_LIMITED),
        (_refusal("BRAND_NEW", status=503), Kind.SERVICE_UNAVAILABLE),
        (_refusal("BRAND_NEW", status=403), Kind.UNKNOWN),
        (JSONResponse({"detail": [{"msg": "field required"}]}, 422), Kind.BAD_REQUEST),
        (JSONResponse([1, 2], 200), Kind.PROTOCOL),
        (JSONResponse({"hello": 1}, 200), Kind.PROTOCOL),
        (Response(b"[" * 100_000, 200), Kind.PROTOCOL),
        (Response(b'{"detail": "\xff"}', 200), Kind.PROTOCOL),
        (_answer([], 200), Kind.PROTOCOL),
        (_answer({}, 200), Kind.PROTOCOL),
        (_answer({"id": 1}, 404, error="ITEM_NOT_FOUND"), Kind.NOT_FOUND),
    ],
    ids=lambda value: f"{value.status_code}" if isinstance(value, Response) else str(value),
)
async def test_answer_without_a_known_code_is_decided_by_its_status(
    subject: Subject, answer: Response, kind: Kind
) -> None:
    error = await _error_of_account(subject, answer, answer, answer)

    assert error.kind is kind


async def test_auth_error_is_asked_again_once(subject: Subject) -> None:
    subject.simulator.script.fail(_refusal("AUTH_ERROR", status=403))

    account = await subject.store.account(subject.call())

    assert account.tier is Tier.PREMIUM
    assert len(subject.simulator.asked) == 2


async def test_auth_error_twice_means_that_the_key_is_invalid(subject: Subject) -> None:
    again = _refusal("AUTH_ERROR", status=403)

    error = await _error_of_account(subject, again, again)

    assert error.kind is Kind.AUTH_INVALID
    assert len(subject.simulator.asked) == 2


async def test_key_that_a_message_repeats_is_blotted_out(subject: Subject) -> None:
    error = await _error_of_account(subject, _refusal("BAD_TOKEN", f"The token {KEY} is wrong."))

    assert KEY not in error.message
    assert "The token *** is wrong." in error.message


async def test_message_of_the_store_is_cut(subject: Subject) -> None:
    error = await _error_of_account(subject, _refusal("INVALID_OPTION", "long " * 10_000))

    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7", "x-ratelimit-reset": "30"}, 7),
        ({"x-ratelimit-reset": "30"}, 30),
        ({"ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset": "1767268845"}, 45),
        ({"x-ratelimit-reset": "99999999"}, 3600),
        ({"x-ratelimit-reset": "soon"}, 60),
        ({"x-ratelimit-reset": "nan"}, 60),
    ],
    ids=["none", "retry-after", "both", "reset", "other-name", "epoch", "far", "word", "nan"],
)
async def test_throttled_call_waits_as_long_as_it_is_told(
    subject: Subject, headers: dict[str, str], seconds: int
) -> None:
    error = await _error_of_account(subject, JSONResponse({"detail": "x"}, 429, headers))

    assert error.retry_after == timedelta(seconds=seconds)


async def test_throttled_creation_waits_five_minutes(subject: Subject) -> None:
    subject.simulator.script.fail(Fault.THROTTLED, path=_CREATE)

    with pytest.raises(StoreError) as caught:
        await subject.store.add(subject.call(), FILM.magnet)

    assert caught.value.retry_after == timedelta(minutes=5)


async def test_server_that_says_when_it_is_back_is_believed(subject: Subject) -> None:
    answer = PlainTextResponse("No", 500, {"Retry-After": "20"})

    error = await _error_of_account(subject, answer)

    assert error.retry_after == timedelta(seconds=20)


async def test_server_that_cannot_be_reached_is_unavailable(clock: FakeClock) -> None:
    async with serve(PlainTextResponse("")) as closed:
        pass

    async with HttpClient.open(first_pause=0.01) as http:
        store = TorBox(http, Budget(), clock, closed, {})
        with pytest.raises(StoreError) as caught:
            await store.account(Call(Secret(KEY), Deadline.after(5)))

    assert caught.value.kind is Kind.SERVICE_UNAVAILABLE


async def test_body_that_never_ends_is_cut_off(subject: Subject) -> None:
    error = await _error_of_account(subject, Response(b" " * (33 * 1024 * 1024)))

    assert error.kind is Kind.PROTOCOL


async def test_reading_is_tried_three_times(subject: Subject) -> None:
    subject.simulator.script.fail(PlainTextResponse("", 503), times=2)

    account = await subject.store.account(subject.call())

    assert account.tier is Tier.PREMIUM
    assert len(subject.simulator.asked) == 3


async def test_creation_is_sent_once_only(subject: Subject) -> None:
    subject.simulator.script.fail(PlainTextResponse("", 503), path=_CREATE, times=3)

    with pytest.raises(StoreError):
        await subject.store.add(subject.call(), FILM.magnet)

    assert len(subject.simulator.asked_for(_CREATE)) == 1


# The account


@pytest.mark.parametrize(
    ("user", "tier", "plan", "slots"),
    [
        ({"plan": 0}, Tier.FREE, "Free", None),
        ({"plan": None}, Tier.FREE, "Free", None),
        ({"plan": 0, "premium_expires_at": "2025-01-01T00:00:00Z"}, Tier.EXPIRED, "Free", None),
        ({"plan": 1}, Tier.PREMIUM, "Essential", 3),
        ({"plan": "2"}, Tier.PREMIUM, "Pro", 10),
        ({"plan": 2, "additional_concurrent_slots": 4}, Tier.PREMIUM, "Pro", 14),
        ({"plan": 3, "premium_expires_at": "2027-01-01T00:00:00Z"}, Tier.PREMIUM, "Standard", 5),
        ({"plan": 3, "premium_expires_at": "2025-12-31"}, Tier.EXPIRED, "Standard", 5),
        ({"plan": 3, "premium_expires_at": "for ever"}, Tier.PREMIUM, "Standard", 5),
        ({"plan": 9}, Tier.PREMIUM, "Plan 9", None),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_plan_and_date_make_the_tier(
    subject: Subject, user: dict[str, Any], tier: Tier, plan: str, slots: int | None
) -> None:
    subject.simulator.script.fail(_answer({"id": 7, **user}))

    account = await subject.store.account(subject.call())

    assert (account.id, account.tier, account.plan, account.slots) == ("7", tier, plan, slots)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-01T00:00:00Z", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01T00:00:00.123456789Z", datetime(2027, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2027-01-01T02:00:00+02:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2027-01-01 00:00:00", datetime(2027, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59-10:00", None),
        ("", None),
        (1798761600, None),
    ],
)
async def test_dates_are_read_leniently(
    subject: Subject, text: object, at: datetime | None
) -> None:
    subject.simulator.script.fail(_answer({"id": 7, "plan": 2, "premium_expires_at": text}))

    account = await subject.store.account(subject.call())

    assert account.expires_at == at


async def test_account_without_a_number_has_its_other_id(subject: Subject) -> None:
    subject.simulator.script.fail(_answer({"auth_id": "0d9c"}))

    account = await subject.store.account(subject.call())

    assert account.id == "0d9c"


# The cache check


async def test_few_hashes_stand_in_the_url(subject: Subject) -> None:
    hashes = [f"{number:040x}" for number in range(1, 101)]

    await subject.store.check(subject.call(), hashes)

    [asked] = subject.simulator.asked
    assert asked.method == "GET"
    assert asked.query["hash"].split(",") == hashes


async def test_many_hashes_go_in_bodies_of_five_hundred(subject: Subject) -> None:
    hashes = [f"{number:040x}" for number in range(1, 702)]

    await subject.store.check(subject.call(), hashes)

    asked = subject.simulator.asked
    assert [each.method for each in asked] == ["POST", "POST"]
    sent = [msgspec.json.decode(each.body)["hashes"] for each in asked]
    assert [len(part) for part in sent] == [500, 201]
    assert sent[0] + sent[1] == hashes


async def test_check_names_files_by_the_ids_of_the_store(subject: Subject) -> None:
    answers = await subject.store.check(subject.call(), [PACK.info_hash])

    files = {file.path: file.id for file in answers[PACK.info_hash].files or ()}
    assert files == {
        "Demo.Show.S01.720p/notes.txt": "0",
        "Demo.Show.S01.720p/Demo.Show.S01E02.mkv": "1",
        "Demo.Show.S01.720p/Demo.Show.S01E01.mkv": "2",
    }


@pytest.mark.parametrize(
    ("data", "cached"),
    [
        (None, set()),
        ({}, set()),
        ([], set()),
        ({FILM.info_hash: None}, set()),
        ({FILM.info_hash: {}}, {FILM.info_hash}),
        ({FILM.info_hash.upper(): {"name": "x"}}, {FILM.info_hash}),
        ([{"hash": FILM.info_hash.upper()}], {FILM.info_hash}),
        ([{"hash": "not a hash"}, {"hash": None}, None, {}], set()),
        ([{"hash": "cd" * 20}], set()),
    ],
    ids=["null", "object", "array", "null-row", "bare", "upper", "list", "broken", "not-asked"],
)
async def test_check_takes_every_shape_of_answer(
    subject: Subject, data: object, cached: set[str]
) -> None:
    subject.simulator.script.fail(_answer(data))

    answers = await subject.store.check(subject.call(), [FILM.info_hash, SLOW.info_hash])

    assert set(answers) == {FILM.info_hash, SLOW.info_hash}
    assert {text for text in answers if answers[text].state is CacheState.CACHED} == cached


async def test_check_with_data_of_another_shape_breaks_the_protocol(subject: Subject) -> None:
    subject.simulator.script.fail(_answer("cached"))

    with pytest.raises(StoreError) as caught:
        await subject.store.check(subject.call(), [FILM.info_hash])

    assert caught.value.kind is Kind.PROTOCOL


# Adding


async def test_creation_is_a_form_of_four_fields(subject: Subject) -> None:
    await subject.store.add(subject.call(), FILM.magnet, only_if_cached=True)

    [asked] = subject.simulator.asked_for(_CREATE)
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert {name: values[0] for name, values in parse_qs(asked.body.decode()).items()} == {
        "magnet": str(FILM.magnet),
        "seed": "1",
        "allow_zip": "false",
        "add_only_if_cached": "true",
    }


async def test_creation_may_download_unless_it_is_told_otherwise(subject: Subject) -> None:
    await subject.store.add(subject.call(), SLOW.magnet)

    [asked] = subject.simulator.asked_for(_CREATE)
    assert b"add_only_if_cached" not in asked.body


async def test_private_torrent_is_refused(subject: Subject) -> None:
    with pytest.raises(StoreError) as caught:
        await subject.store.add(subject.call(), PRIVATE.magnet)

    assert caught.value.kind is Kind.BAD_TORRENT


@pytest.mark.parametrize(
    ("release_", "state"),
    [(FILM, TorrentState.READY), (SLOW, TorrentState.RESOLVING)],
    ids=["cached", "started"],
)
async def test_torrent_is_added_though_the_second_look_fails(
    subject: Subject, release_: Any, state: TorrentState
) -> None:
    subject.simulator.script.fail(Fault.SERVER_ERROR, path=_LIST)

    torrent = await subject.store.add(subject.call(), release_.magnet)

    assert torrent.state is state
    assert torrent.info_hash == release_.info_hash
    assert torrent.id.isdigit()


async def test_answer_with_no_id_is_looked_into(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, FILM)
    simulator.script.fail(_answer({"hash": FILM.info_hash}), path=_CREATE)

    torrent = await subject.store.add(subject.call(), FILM.magnet)

    assert torrent.id == str(item.id)


async def test_double_that_cannot_be_found_is_an_error(subject: Subject) -> None:
    subject.simulator.script.fail(_refusal("DUPLICATE_ITEM"), path=_CREATE)

    with pytest.raises(StoreError) as caught:
        await subject.store.add(subject.call(), FILM.magnet)

    assert caught.value.provider_code == "DUPLICATE_ITEM"


async def test_failure_of_the_search_does_not_hide_the_first_error(subject: Subject) -> None:
    subject.simulator.script.fail(Fault.TRUNCATED, path=_CREATE)
    subject.simulator.script.fail(Fault.THROTTLED, path=_LIST)

    with pytest.raises(StoreError) as caught:
        await subject.store.add(subject.call(), FILM.magnet)

    assert caught.value.kind is Kind.PROTOCOL


# The queue


@pytest.fixture
async def queueing() -> AsyncIterator[Subject]:
    """A TorBox that puts what has no slot into its queue, with one such torrent there."""
    async with open_torbox(Switches(slots_full="queued")) as subject:
        await subject.store.add(subject.call(ONE_SLOT_KEY), SLOW.magnet)
        yield subject


async def test_queued_torrent_has_an_id_of_its_own_kind(queueing: Subject) -> None:
    torrent = await queueing.store.add(queueing.call(ONE_SLOT_KEY), ALSO_SLOW.magnet)
    seen = await queueing.store.get(queueing.call(ONE_SLOT_KEY), torrent.id)

    assert torrent.id.startswith("q:")
    assert (seen.id, seen.info_hash) == (torrent.id, ALSO_SLOW.info_hash)
    assert seen.state is TorrentState.QUEUED


async def test_queued_torrent_is_found_and_not_added_again(queueing: Subject) -> None:
    call = queueing.call(ONE_SLOT_KEY)
    first = await queueing.store.add(call, ALSO_SLOW.magnet)
    second = await queueing.store.add(call, ALSO_SLOW.magnet)

    assert second.id == first.id
    assert len(queueing.simulator.hashes_of(ONE_SLOT_KEY)) == 2


async def test_queued_torrent_is_taken_out_of_the_queue(queueing: Subject) -> None:
    call = queueing.call(ONE_SLOT_KEY)
    torrent = await queueing.store.add(call, ALSO_SLOW.magnet)

    assert await queueing.store.remove(call, torrent.id) is True
    assert await queueing.store.remove(call, torrent.id) is False
    assert queueing.simulator.hashes_of(ONE_SLOT_KEY) == [SLOW.info_hash]


async def test_link_of_a_queued_torrent_is_refused_without_a_call(queueing: Subject) -> None:
    call = queueing.call(ONE_SLOT_KEY)
    torrent = await queueing.store.add(call, ALSO_SLOW.magnet)

    with pytest.raises(StoreError) as caught:
        await queueing.store.link(call, torrent.id, _FILE)

    assert caught.value.kind is Kind.NOT_READY
    assert queueing.simulator.asked_for("/requestdl") == []


async def test_queued_torrent_that_started_has_another_id(queueing: Subject) -> None:
    call = queueing.call(ONE_SLOT_KEY)
    waiting = await queueing.store.add(call, ALSO_SLOW.magnet)
    queueing.clock.advance(timedelta(hours=1))

    found = await queueing.store.find(call, ALSO_SLOW.info_hash)
    with pytest.raises(StoreError) as caught:
        await queueing.store.get(call, waiting.id)

    assert found is not None
    assert not found.id.startswith("q:")
    assert caught.value.kind is Kind.NOT_FOUND


# Looking


async def test_list_is_always_asked_for_as_it_is_now(subject: Subject) -> None:
    await subject.store.list(subject.call())
    await subject.store.add(subject.call(), FILM.magnet)

    page = await subject.store.list(subject.call())

    assert [torrent.info_hash for torrent in page.items] == [FILM.info_hash]


async def test_torrent_on_the_second_page_is_found(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    for number in range(1_001):
        simulator.put(KEY, release(f"Filler.{number}", FILM.fate))
    item = simulator.put(KEY, FILM)

    found = await subject.store.find(subject.call(), FILM.info_hash)

    assert found is not None
    assert found.id == str(item.id)


async def test_list_that_repeats_itself_for_ever_is_left(subject: Subject) -> None:
    row = {"id": 1, "hash": "cd" * 20}
    subject.simulator.script.fail(_answer([row] * 1_000), path=_LIST, times=100)

    assert await subject.store.find(subject.call(), FILM.info_hash) is None
    assert len(subject.simulator.asked_for(_LIST)) == 20


async def test_ready_torrent_is_found_before_others_of_its_hash(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    simulator.put(KEY, FILM, download_present=False)
    ready = simulator.put(KEY, FILM)
    simulator.put(KEY, FILM, download_present=False)

    found = await subject.store.find(subject.call(), FILM.info_hash)

    assert found is not None
    assert found.id == str(ready.id)


@pytest.mark.parametrize(("limit", "sent"), [(0, "1"), (-5, "1"), (5_000, "1000")])
async def test_limit_of_a_list_is_kept_within_bounds(
    subject: Subject, limit: int, sent: str
) -> None:
    await subject.store.list(subject.call(), limit=limit)

    assert subject.simulator.asked[0].query["limit"] == sent


async def test_torrent_may_come_as_an_array(subject: Subject) -> None:
    subject.simulator.script.fail(_answer([None, {"id": 4}, {"id": 5, "name": "x"}]), path=_LIST)

    torrent = await subject.store.get(subject.call(), "5")

    assert torrent.name == "x"


async def test_odd_values_are_unknown_rather_than_wrong(subject: Subject) -> None:
    torrent = await _get_row(
        subject,
        {
            "hash": "short",
            "name": 5,
            "size": -1,
            "seeds": True,
            "progress": "much",
            "eta": 8_640_000,
            "download_speed": 2**63,
            "private": "no",
            "created_at": None,
            "files": None,
        },
    )

    assert torrent == StoredTorrent(
        id="5",
        info_hash=None,
        name=None,
        size_bytes=None,
        state=TorrentState.UNKNOWN,
        raw_state="",
    )


async def test_numbers_are_taken_as_text_and_with_fractions(subject: Subject) -> None:
    row = {"size": "734003200", "seeds": 3.0, "progress": "0.5", "eta": "60", "private": True}

    torrent = await _get_row(subject, row)

    assert (torrent.size_bytes, torrent.seeders) == (734_003_200, 3)
    assert (torrent.progress, torrent.eta) == (0.5, timedelta(minutes=1))
    assert torrent.private is True


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, None), (10**40, None), (1.5, None), ("1" * 30, None)],
)
async def test_sizes_fit_into_a_database(
    subject: Subject, size: object, size_bytes: int | None
) -> None:
    torrent = await _get_row(subject, {"size": size})

    assert torrent.size_bytes == size_bytes


@pytest.mark.parametrize(("progress", "share"), [(-1, 0.0), (0.25, 0.25), (100, 1.0), (None, None)])
async def test_progress_stays_between_nothing_and_all(
    subject: Subject, progress: object, share: float | None
) -> None:
    torrent = await _get_row(subject, {"progress": progress})

    assert torrent.progress == share


async def test_names_are_cut_and_lose_control_characters(subject: Subject) -> None:
    torrent = await _get_row(subject, {"name": "A\x00\nB" + "c" * 5_000})

    assert torrent.name is not None
    assert torrent.name.startswith("ABccc")
    assert len(torrent.name) <= 1_000


async def test_files_that_cannot_be_played_are_left_out(subject: Subject) -> None:
    torrent = await _get_row(
        subject,
        {
            "files": [
                {"id": 0, "name": "root/a.mkv", "size": "12", "mimetype": "video/x-matroska"},
                {"id": "1", "name": None, "short_name": "b.mkv", "size": -1},
                {"id": 2, "name": "root/c.mkv", "infected": True},
                {"id": None, "name": "root/d.mkv"},
                {"id": 4},
                None,
            ]
        },
    )

    assert torrent.files == (
        RemoteFile(id="0", path="root/a.mkv", size_bytes=12, mime="video/x-matroska"),
        RemoteFile(id="1", path="b.mkv"),
    )


async def test_row_without_an_id_is_not_listed(subject: Subject) -> None:
    subject.simulator.script.fail(_answer([{"id": 0}, {"name": "x"}, {"id": 3}]), path=_LIST)

    page = await subject.store.list(subject.call())

    assert [torrent.id for torrent in page.items] == ["3"]


@pytest.mark.parametrize("operation", ["get", "find"])
async def test_list_that_fails_is_not_an_empty_one(subject: Subject, operation: str) -> None:
    subject.simulator.script.fail(_refusal("ENDPOINT_NOT_FOUND", status=404), path=_LIST)

    with pytest.raises(StoreError) as caught:
        await getattr(subject.store, operation)(subject.call(), "5")

    assert caught.value.kind is Kind.BAD_REQUEST


# Removing


async def test_removal_names_one_torrent_and_never_all(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, FILM)

    await subject.store.remove(subject.call(), str(item.id))

    assert msgspec.json.decode(simulator.asked[0].body) == {
        "torrent_id": item.id,
        "operation": "delete",
        "all": False,
    }


async def test_torrent_of_somebody_else_is_not_there(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(OTHER_KEY, FILM)

    assert await subject.store.remove(subject.call(), str(item.id)) is False


async def test_database_error_of_a_torrent_that_is_there_is_an_error(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, FILM)
    simulator.script.fail(_refusal("DATABASE_ERROR", status=500), path="/controltorrent")

    with pytest.raises(StoreError) as caught:
        await subject.store.remove(subject.call(), str(item.id))

    assert caught.value.kind is Kind.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("torrent_id", ["0", "q:0", "-1", "9" * 30, "1e3", "q:"])
async def test_id_that_torbox_cannot_have_given_is_not_asked_for(
    subject: Subject, torrent_id: str
) -> None:
    assert await subject.store.remove(subject.call(), torrent_id) is False
    assert subject.simulator.asked == []


# Links


@pytest.mark.parametrize("user_ip", [None, "203.0.113.9"])
async def test_link_is_asked_for_with_token_and_file_even_if_its_id_is_zero(
    subject: Subject, simulator: TorBoxSimulator, user_ip: str | None
) -> None:
    item = simulator.put(KEY, FILM)

    await subject.store.link(subject.call(user_ip=user_ip), str(item.id), _FILE)

    [asked] = simulator.asked_for("/requestdl")
    assert asked.query == {
        "token": KEY,
        "torrent_id": str(item.id),
        "file_id": "0",
        "zip_link": "false",
        "redirect": "false",
    } | ({"user_ip": user_ip} if user_ip else {})


@pytest.mark.parametrize(
    "url",
    [
        f"https://api.example/v1/api/torrents/requestdl?token={KEY}&redirect=true",
        "ftp://cdn.example/a.mkv",
        "javascript:alert(1)",
        "//cdn.example/a.mkv",
        "https:///a.mkv",
        "https://[::1/a.mkv",
        "https://cdn.example/a b.mkv",
        "https://cdn.example/a\r\nSet-Cookie: x.mkv",
        "https://cdn.example/" + "a" * 10_000,
        "",
        None,
        {"url": "https://cdn.example/a.mkv"},
    ],
    ids=lambda url: str(url)[:40],
)
async def test_answer_that_is_no_link_to_a_file_is_not_handed_out(
    subject: Subject, simulator: TorBoxSimulator, url: object
) -> None:
    item = simulator.put(KEY, FILM)
    simulator.script.fail(_answer(url), path="/requestdl")

    with pytest.raises(StoreError) as caught:
        await subject.store.link(subject.call(), str(item.id), _FILE)

    assert caught.value.kind is Kind.PROTOCOL


async def test_refused_link_of_a_torrent_that_failed_is_gone(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, SLOW, download_state="error")

    with pytest.raises(StoreError) as caught:
        await subject.store.link(subject.call(), str(item.id), _FILE)

    assert caught.value.kind is Kind.FILE_GONE


async def test_refused_link_of_a_file_that_is_there_keeps_its_error(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, FILM)
    simulator.script.fail(_refusal("DATABASE_ERROR", status=500), path="/requestdl")

    with pytest.raises(StoreError) as caught:
        await subject.store.link(subject.call(), str(item.id), _FILE)

    assert caught.value.provider_code == "DATABASE_ERROR"


async def test_link_is_not_looked_into_when_the_key_is_at_fault(
    subject: Subject, simulator: TorBoxSimulator
) -> None:
    item = simulator.put(KEY, FILM)
    simulator.script.fail(_refusal("MONTHLY_LIMIT"), path="/requestdl")

    with pytest.raises(StoreError) as caught:
        await subject.store.link(subject.call(), str(item.id), _FILE)

    assert caught.value.kind is Kind.QUOTA_EXHAUSTED
    assert simulator.asked_for(_LIST) == []


# Our own budget


@pytest.fixture
async def slowly() -> AsyncIterator[tuple[TorBox, Subject]]:
    """A client that may make one call of each class at once, and one an hour."""
    async with open_torbox(TORBOX) as subject, HttpClient.open() as http:
        assert isinstance(subject.store, TorBox)
        rate = Rate(1, timedelta(hours=1), 1)
        rates = {"general": rate, "create": rate}
        yield TorBox(http, Budget(), subject.clock, subject.store.base_url, rates), subject


async def test_call_beyond_the_budget_is_not_made(slowly: tuple[TorBox, Subject]) -> None:
    store, subject = slowly
    await store.account(subject.call())

    with pytest.raises(StoreError) as caught:
        await store.account(subject.call(seconds=0.05))

    assert caught.value.kind is Kind.RATE_LIMITED
    assert caught.value.retry_after == timedelta(hours=1)
    assert len(subject.simulator.asked) == 1


async def test_each_key_has_its_own_budget(slowly: tuple[TorBox, Subject]) -> None:
    store, subject = slowly
    await store.account(subject.call())

    await store.account(subject.call(OTHER_KEY))

    assert len(subject.simulator.asked) == 2


async def test_creations_have_their_own_budget(slowly: tuple[TorBox, Subject]) -> None:
    store, subject = slowly
    await store.account(subject.call())

    await store.add(subject.call(seconds=0.1), SLOW.magnet)

    assert subject.simulator.hashes_of(KEY) == [SLOW.info_hash]


async def test_cached_torrent_does_not_spend_the_budget_of_creations(
    slowly: tuple[TorBox, Subject],
) -> None:
    store, subject = slowly
    await store.add(subject.call(seconds=0.2), FILM.magnet, only_if_cached=True)

    await store.add(subject.call(OTHER_KEY, seconds=0.2), SLOW.magnet)
    await store.add(subject.call(seconds=0.2), SLOW.magnet)

    assert subject.simulator.hashes_of(KEY) == [FILM.info_hash, SLOW.info_hash]


def test_default_rates_stay_below_what_is_published() -> None:
    general, create = INFO.rates["general"], INFO.rates["create"]

    assert general.calls / (general.per / timedelta(minutes=1)) <= 0.8 * 300
    assert create.calls / (create.per / timedelta(hours=1)) <= 0.8 * 60
    assert create.burst <= 0.8 * 10
    assert create.burst + create.calls <= 60


# The simulator refuses what the service refuses


async def _send(simulator: TorBoxSimulator, method: str, path: str, **sent: Any) -> Reply:
    async with serve(simulator) as base_url, HttpClient.open() as http:
        headers = sent.pop("headers", {"Authorization": f"Bearer {KEY}"})
        url = base_url + PREFIX + path
        return await http.send(method, url, deadline=Deadline.after(5), headers=headers, **sent)


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "code"),
    [
        ("GET", "/user/me", {"headers": {}}, 403, "NO_AUTH"),
        ("GET", "/user/me", {"headers": {"Authorization": "Bearer x"}}, 403, "BAD_TOKEN"),
        ("GET", "/user/me", {"headers": {"Authorization": KEY}}, 403, "NO_AUTH"),
        ("POST", _CREATE, {"json": {"magnet": str(FILM.magnet)}}, 422, None),
        ("POST", _CREATE, {"form": {"magnet": "magnet:?"}}, 400, "BOZO_TORRENT"),
        ("GET", _CREATE, {}, 405, None),
        ("POST", "/torrents/controltorrent", {"form": {"torrent_id": "1"}}, 422, None),
        ("GET", "/torrents/controltorrent", {}, 405, None),
        ("GET", "/torrents/requestdl", {"params": {"torrent_id": "1"}}, 403, "NO_AUTH"),
        ("GET", "/torrents/requestdl", {"params": {"token": KEY}}, 400, "MISSING_REQUIRED_OPTION"),
        ("GET", "/torrents/mylist", {"params": {"id": "5"}}, 404, "ITEM_NOT_FOUND"),
        ("GET", "/torrents/mylist", {"params": {"offset": "x"}}, 422, None),
        ("GET", "/torrents/checkcached", {}, 400, "MISSING_REQUIRED_OPTION"),
        ("GET", "/no/such/thing", {}, 404, "ENDPOINT_NOT_FOUND"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_simulator_refuses_what_torbox_refuses(
    clock: FakeClock, method: str, path: str, sent: dict[str, Any], status: int, code: str | None
) -> None:
    reply = await _send(TorBoxSimulator(clock.now, [Account(KEY)]), method, path, **sent)

    assert reply.status == status
    assert msgspec.json.decode(reply.body).get("error") == code


async def test_simulator_shows_a_stale_list_and_one_row_too_many(clock: FakeClock) -> None:
    simulator = TorBoxSimulator(clock.now, [Account(KEY)])
    for what in CATALOGUE[:3]:
        simulator.put(KEY, what)
    before = await _send(simulator, "GET", _LIST, params={"limit": "2"})
    simulator.put(KEY, _UNSEEN)

    stale = await _send(simulator, "GET", _LIST)
    fresh = await _send(simulator, "GET", _LIST, params={"bypass_cache": "true"})

    rows = [len(msgspec.json.decode(reply.body)["data"]) for reply in (before, stale, fresh)]
    assert rows == [3, 3, 4]


async def test_simulator_counts_creations(clock: FakeClock) -> None:
    simulator = TorBoxSimulator(clock.now, [Account(KEY)], creations_per_hour=1)
    await _send(simulator, "POST", _CREATE, form={"magnet": str(SLOW.magnet)})

    reply = await _send(simulator, "POST", _CREATE, form={"magnet": str(DEAD.magnet)})

    assert reply.status == 429
    assert msgspec.json.decode(reply.body) == {"detail": "1 per 1 hour"}


async def test_link_of_the_simulator_serves_ranges_until_it_is_old(subject: Subject) -> None:
    added = await subject.store.add(subject.call(), FILM.magnet)
    link = await subject.store.link(subject.call(), added.id, _FILE)
    content = FILM.files[0][1]

    async with HttpClient.open() as http:

        async def fetch(method: str = "GET", **headers: str) -> Reply:
            deadline = Deadline.after(5)
            return await http.send(method, link.url, deadline=deadline, headers=headers)

        part, head = await fetch(Range="bytes=2-5"), await fetch("HEAD")
        subject.clock.advance(timedelta(hours=4))
        late = await fetch()

    assert (part.status, part.body) == (206, content[2:6])
    assert part.headers["Content-Range"] == f"bytes 2-5/{len(content)}"
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(content)))
    assert late.status == 410
