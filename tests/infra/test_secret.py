import copy
import pickle
import threading
import time
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.secret import Redactor, Secret

KEY = "8c1f0a2b-key-of-the-pool"


def knowing(*values: str) -> Redactor:
    redactor = Redactor()
    for value in values:
        redactor.learn(Secret(value), lasting=True)
    return redactor


def everywhere_encoded(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


# --- Secret ---


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        "%s".__mod__,
        lambda secret: f"{[secret]}",
    ],
    ids=["str", "repr", "format", "padded", "format repr", "percent", "in a list"],
)
def test_secret_prints_as_its_fingerprint(show: object) -> None:
    assert callable(show)

    text = show(Secret(KEY))

    assert KEY not in text
    assert f"***{Secret(KEY).fingerprint}" in text


def test_fingerprints_tell_secrets_apart() -> None:
    assert Secret(KEY).fingerprint == Secret(KEY).fingerprint
    assert Secret(KEY).fingerprint != Secret(KEY + "x").fingerprint


def test_secret_reveals_itself_when_asked() -> None:
    assert Secret(KEY).reveal() == KEY


def test_secrets_of_one_text_are_equal() -> None:
    assert {Secret(KEY), Secret(KEY)} == {Secret(KEY)}
    assert Secret(KEY) != Secret(KEY.upper())
    assert Secret(KEY) != KEY


def test_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_secret_that_is_not_unicode_prints_and_compares() -> None:
    odd = Secret("caf\udce9-key")

    assert "caf" not in repr(odd)
    assert odd == Secret("caf\udce9-key")


@pytest.mark.parametrize(
    "write",
    [pickle.dumps, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins, bytes, "-".join],
    ids=["pickle", "deepcopy", "json", "builtins", "bytes", "join"],
)
def test_secret_is_not_written_by_accident(write: object) -> None:
    assert callable(write)

    with pytest.raises(TypeError) as caught:
        write(Secret(KEY))

    assert KEY not in str(caught.value)


# --- Redactor: what it knows ---


def test_learning_returns_the_secret() -> None:
    secret = Secret(KEY)

    assert Redactor().learn(secret) is secret


FORMS = {
    "plain": KEY,
    "quoted": quote("ключ/+= &key"),
    "quoted whole": quote("ключ/+= &key", safe=""),
    "lower-case hex": quote("ключ/+= &key", safe="").lower(),
    "needlessly encoded": everywhere_encoded(KEY),
    "half encoded": KEY[:9] + everywhere_encoded(KEY[9:]),
    "twice encoded": quote(everywhere_encoded(KEY)),
    "inside another word": f"x{KEY}x",
}


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_found_in_a_url(form: str) -> None:
    redactor = knowing("another-secret", KEY, "ключ/+= &key")

    assert redactor.found_in(f"https://cdn.test/a%20b/{FORMS[form]}/file.mkv?x=1")


@pytest.mark.parametrize("form", FORMS)
def test_secret_is_blotted_out(form: str) -> None:
    redactor = knowing("another-secret", KEY, "ключ/+= &key")

    cleaned = redactor.clean(f"GET /a/{FORMS[form]}/file.mkv")

    assert "***" in cleaned
    assert not redactor.found_in(cleaned)
    assert cleaned.endswith("/file.mkv")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "https://cdn.test/dld/3f1c9d2e?file=Some.Movie.2020%20%5BGroup%5D.mkv",
        KEY[:-1],
        KEY[1:],
        KEY.upper(),
        "100 % of %zz%",
    ],
)
def test_text_without_a_secret_is_left_alone(text: str) -> None:
    redactor = knowing(KEY)

    assert not redactor.found_in(text)
    assert redactor.clean(text) == text


@pytest.mark.parametrize(
    ("values", "text", "expected"),
    [
        pytest.param([KEY], f"{KEY} and {KEY}", "*** and ***", id="twice"),
        pytest.param(["abcdef", "abcdefgh"], "-abcdefgh-", "-***-", id="one begins another"),
        pytest.param(["abcdef", "xabcdefx"], "-xabcdefx-", "-***-", id="one inside another"),
        pytest.param(["abcdefgh", "efghijkl"], "-abcdefghijkl-", "-***-", id="overlapping"),
        pytest.param(["abcdef", "ghijkl"], "abcdefghijkl", "******", id="side by side"),
        pytest.param(["aaaaaa"], "aaaaaaaaa", "***", id="repeating"),
    ],
)
def test_no_part_of_a_secret_is_left(values: list[str], text: str, expected: str) -> None:
    assert knowing(*values).clean(text) == expected


@given(st.lists(st.text(min_size=6, max_size=12), max_size=8), st.text(max_size=20), st.data())
def test_search_agrees_with_plain_comparison(
    values: list[str], filling: str, data: st.DataObject
) -> None:
    pieces = st.sampled_from([*values, *(value[:5] for value in values), filling])
    text = "".join(data.draw(st.lists(pieces, max_size=5)))
    redactor = knowing(*values)

    if any(value in text for value in values):
        assert redactor.found_in(text)
    if "%" not in text:
        assert redactor.found_in(text) == any(value in text for value in values)
    assert not any(value in redactor.clean(text) for value in values if "*" not in value)


def test_short_values_are_not_learnt() -> None:
    redactor = knowing("12345", "")

    assert redactor.clean("12345 items") == "12345 items"


def test_token_of_a_stranger_blots_out_no_short_word() -> None:
    redactor = Redactor()

    redactor.learn(Secret("https://example"))

    assert redactor.clean("https://example.test") == "https://example.test"


def test_token_of_a_stranger_stops_no_link() -> None:
    redactor = Redactor()

    redactor.learn(Secret("store-012.example-cdn.test"))

    assert not redactor.found_in("https://store-012.example-cdn.test/file.mkv")


def test_passing_secrets_are_forgotten_oldest_first() -> None:
    redactor = Redactor(size=2)
    for value in (
        "first-own-token-x",
        "second-own-token-x",
        "first-own-token-x",
        "third-own-token-x",
    ):
        redactor.learn(Secret(value))

    assert redactor.clean("first-own-token-x third-own-token-x") == "*** ***"
    assert redactor.clean("second-own-token-x") == "second-own-token-x"


def test_forgetting_one_secret_keeps_another_of_the_same_beginning() -> None:
    redactor = Redactor(size=1)
    redactor.learn(Secret("own-token-of-one-person"))
    redactor.learn(Secret("own-token-of-another"))

    assert redactor.clean("own-token-of-another") == "***"
    assert redactor.clean("own-token-of-one-person") == "own-token-of-one-person"


def test_lasting_secret_outlives_any_number_of_passing_ones() -> None:
    redactor = Redactor(size=2)
    redactor.learn(Secret(KEY))
    redactor.learn(Secret(KEY), lasting=True)

    for number in range(100):
        redactor.learn(Secret(f"own-token-of-person-{number}"))

    assert redactor.found_in(KEY)
    assert redactor.clean("own-token-of-person-98") == "***"


def test_forgotten_secrets_leave_nothing_behind() -> None:
    redactor = Redactor(size=10)

    for number in range(1_000):
        redactor.learn(Secret(f"{number:06}/token-of-a-person"))

    assert len(redactor._by_start) == 10


def test_lines_are_cleaned_while_another_thread_learns() -> None:
    redactor = Redactor(size=50)
    redactor.learn(Secret(KEY), lasting=True)
    failures: list[BaseException] = []
    done = threading.Event()

    def clean() -> None:
        try:
            while not done.is_set():
                assert KEY not in redactor.clean(f"secret-1 {KEY} secret-2")
        except BaseException as error:  # noqa: BLE001  # it belongs to the other thread
            failures.append(error)

    thread = threading.Thread(target=clean)
    thread.start()
    for number in range(3_000):
        redactor.learn(Secret(f"secret-of-person-{number}"))
    done.set()
    thread.join()

    assert failures == []


# --- Redactor: what looks like a credential ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer x", "Authorization: Bearer ***"),
        ("authorization: Basic dXNlcjo=", "authorization: Basic ***"),
        ("authorization=Bearer x", "authorization=Bearer ***"),
        ("sent Bearer a1b2 to it", "sent Bearer *** to it"),
        (
            "X-StremThru-Store-Authorization: Bearer x",
            "X-StremThru-Store-Authorization: Bearer ***",
        ),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        ("/dl?token=x&file=1", "/dl?token=***&file=1"),
        ("/api?t=search&apikey=x", "/api?t=search&apikey=***"),
        ("/api?api_key=x", "/api?api_key=***"),
        ("?access_token=x;b=1", "?access_token=***;b=1"),
        ("?url=http%3A%2F%2Fa%2F%3Ftoken%3Dx", "?url=http%3A%2F%2Fa%2F%3Ftoken%3D***"),
        ("/announce?passkey=x", "/announce?passkey=***"),
        ("password = hunter2", "password = ***"),
        ("password='correct horse'", "password='***'"),
        ('{"token":"x","n":1}', '{"token":"***","n":1}'),
        ('{"token": "x y", "n": 1}', '{"token": "***", "n": 1}'),
        ('{"poolKey":"x"}', '{"poolKey":"***"}'),
        ('{"accessToken":"x"}', '{"accessToken":"***"}'),
        ('"{\\"auth\\":\\"x\\"}"', '"{\\"auth\\":\\"***\\"}"'),
        ("{'Authorization': 'Bearer x'}", "{'Authorization': '***'}"),
        ("[(b'authorization', b'Bearer x')]", "[(b'authorization', b'***')]"),
        ("token: 9f8e7d6c5b", "token: ***"),
        ("Cookie: sid=a; b=c", "Cookie: ***"),
        ("Set-Cookie: __Host-sid=a; Secure\r\nX: y", "Set-Cookie: ***\r\nX: y"),
    ],
)
def test_credential_that_nobody_told_us_of_is_blotted_out(text: str, expected: str) -> None:
    assert Redactor().clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "token_version=3",
        '{"token_version":3,"tokens":5}',
        "invalid token: expected UUID",
        "wrong password: try again",
        "auth failed: 3 devices",
        "the token is gone",
        "token=",
        "bearer authentication failed",
        '{"code":"invalid_auth","message":"Invalid auth format, expected UUID"}',
        "event=pool_user_refused code=device_limit deviceCount=3 key_id=7",
        "GET /stremio/torz/{config}/stream/{type}/{id}.json 200 in 3 ms",
        "token=***1a2b3c",
        '"poolKey":"***1a2b3c"',
        "12:30:05 author: someone",
    ],
)
def test_harmless_text_stays_readable(text: str) -> None:
    assert Redactor().clean(text) == text


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    redactor = knowing(KEY)
    cleaned = redactor.clean(f"token={KEY} {text}")

    assert redactor.clean(cleaned) == cleaned


# --- time ---


HOSTILE = {
    "names": "token" * 20_000,
    "names with colons": "token: " * 20_000,
    "long value": "token: " + "a" * 100_000,
    "unclosed quote": 'token="' * 20_000,
    "spaces": "authorization:" + " " * 100_000,
    "bearers": "bearer " * 20_000,
    "printed secrets": "token=***" * 12_000,
    "cookies": "cookie:***" * 10_000,
    "cookie lines": "cookie:\n" * 12_000,
    "percent signs": "%" * 100_000,
    "percent of percent": "%25" * 33_000,
    "the key again and again": KEY * 4_000,
    "beginnings of the key": KEY[:-1] * 4_000,
}


@pytest.mark.deep
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_takes_linear_time(kind: str) -> None:
    redactor = knowing(KEY)
    started = time.perf_counter()

    redactor.clean(HOSTILE[kind])

    assert time.perf_counter() - started < 1


@pytest.mark.deep
def test_number_of_secrets_does_not_slow_the_search() -> None:
    few, many = knowing(KEY), knowing(*(f"{number:032x}" for number in range(5_000)))
    url = "https://store-031.cdn.test/dld/3f1c9d2e?token=8c1f&file=Some.Movie.2020.mkv"

    def seconds(redactor: Redactor) -> float:
        started = time.perf_counter()
        for _ in range(200):
            redactor.found_in(url)
        return time.perf_counter() - started

    assert min(seconds(many) for _ in range(5)) < 5 * min(seconds(few) for _ in range(5))
