"""Reading the config segment of a URL into types."""

import base64
import json
import string
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.user_config import (
    Filter,
    StoreChoice,
    UserConfig,
    decode_user_config,
    encode_config_json,
    encode_user_config,
)
from infra.errors import ConfigInvalid
from infra.secret import Secret

AUTH = "550e8400-e29b-41d4-a716-446655440000"
TOKEN = "own-token-0123456789"
LETTERS = string.ascii_letters + string.digits + "+/"
# The words are chosen for a `+` and a `/` in the standard alphabet.
WHOLE = {
    "stores": [{"c": "tb", "auth": AUTH, "t": TOKEN}, {"c": "rd", "t": "second-token"}],
    "indexers": [{"n": "generic", "u": "https://indexer.example/api", "ak": "key"}],
    "cached": True,
    "sort": "-resolution, -quality,,-size",
    "filter": {
        "resolutions": ["1080p"],
        "excludeQualities": ["CAM", "SD"],
        "languages": ["en"],
        "onlyLanguages": ["de"],
        "minSize": 1,
        "maxSize": 2**40,
        "excludeKeywords": ["ÿÿÿ", "~~~~~?"],
        "perResolution": 3,
        "maxStreams": 20,
    },
    "proxy": True,
}
TYPED = UserConfig(
    stores=(
        StoreChoice("tb", UUID(AUTH), Secret(TOKEN), False),
        StoreChoice("rd", None, Secret("second-token"), False),
    ),
    cached_only=True,
    sort=("-resolution", "-quality", "-size"),
    filter=Filter(
        resolutions=("1080p",),
        exclude_qualities=("CAM", "SD"),
        languages=("en",),
        only_languages=("de",),
        min_size=1,
        max_size=2**40,
        exclude_keywords=("ÿÿÿ", "~~~~~?"),
        per_resolution=3,
        max_streams=20,
    ),
    ignored=("own indexers", "streaming through the server"),
)


def decode(value: object) -> UserConfig:
    return decode_user_config(encode_config_json(json.dumps(value).encode()))


def read_or_none(text: str) -> UserConfig | None:
    try:
        return decode_user_config(text)
    except ConfigInvalid:
        return None


def with_store(**store: Any) -> StoreChoice:
    (choice,) = decode({"stores": [{"c": "tb", **store}]}).stores
    return choice


class TestSpelling:
    @pytest.mark.parametrize("blanks", [0, 1, 2])
    @pytest.mark.parametrize("is_padded", [True, False], ids=["padded", "bare"])
    @pytest.mark.parametrize(
        "encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "url"]
    )
    def test_each_accepted_form_gives_the_same_value(
        self, encode: Any, is_padded: bool, blanks: int
    ) -> None:
        data = json.dumps(WHOLE, ensure_ascii=False).encode() + b" " * blanks
        text = encode(data).decode()
        assert set(text) & set("+/") or set(text) & set("-_")

        config = decode_user_config(text if is_padded else text.rstrip("="))

        assert config == TYPED

    def test_segment_of_the_first_system_is_read(self) -> None:
        text = (
            "eyJzdG9yZXMiOlt7ImMiOiJ0YiIsInQiOiIiLCJhdXRoIjoiNTUwZTg0MDAtZTI5Yi00MWQ0LWE3MTYtNDQ2"
            "NjU1NDQwMDAwIn1dfQ=="
        )

        config = decode_user_config(text)

        assert config.stores == (StoreChoice("tb", UUID(AUTH), None, False),)

    def test_empty_list_of_a_go_program_is_null(self) -> None:
        config = decode(
            {"stores": [{"c": "tb", "t": TOKEN, "auth": None}], "indexers": None, "cached": None,
             "sort": None, "filter": None, "proxy": None}
        )  # fmt: skip

        assert config == decode({"stores": [{"c": "tb", "t": TOKEN}]})

    def test_what_is_encoded_is_decoded(self) -> None:
        text = encode_user_config(UUID(AUTH), ["tb", "demo"])

        config = decode_user_config(text)

        assert [(one.code, one.auth) for one in config.stores] == [
            ("tb", UUID(AUTH)), ("demo", UUID(AUTH))
        ]  # fmt: skip
        assert set(text) <= set(string.ascii_letters + string.digits + "-_")

    @given(st.text(max_size=40))
    def test_no_other_last_letter_means_the_same(self, words: str) -> None:
        data = json.dumps({"stores": [], "sort": words}).encode()
        bare = base64.b64encode(data).decode().rstrip("=")
        others = {bare[:-1] + letter for letter in LETTERS} - {bare}

        found = [read_or_none(other) for other in others]

        assert decode_user_config(bare) not in found


class TestStores:
    @pytest.mark.parametrize(
        "text", [AUTH, AUTH.upper(), f"  {AUTH}\t", f"{AUTH[:20].upper()}{AUTH[20:]}\n"]
    )
    def test_auth_is_a_uuid_in_any_case_with_blanks_around(self, text: str) -> None:
        choice = with_store(auth=text)

        assert choice == StoreChoice("tb", UUID(AUTH), None, False)

    @pytest.mark.parametrize(
        "text",
        [
            "x", AUTH[:-1], f"{AUTH}0", AUTH.replace("-", ""), f"{{{AUTH}}}", f"urn:uuid:{AUTH}",
            AUTH.replace("e", "g"), AUTH.replace("5", "٥"), AUTH.replace("-", " "), "null",
        ],
    )  # fmt: skip
    def test_auth_that_is_no_uuid_is_flagged(self, text: str) -> None:
        choice = with_store(auth=text, t=TOKEN)

        assert choice == StoreChoice("tb", None, Secret(TOKEN), True)

    @pytest.mark.parametrize("text", ["", "   ", None])
    def test_no_auth_is_not_a_broken_one(self, text: str | None) -> None:
        choice = with_store(auth=text)

        assert choice == StoreChoice("tb", None, None, False)

    @pytest.mark.parametrize("text", [TOKEN, f" {TOKEN}\r\n", f"\t{TOKEN}"])
    def test_blanks_around_a_token_are_dropped(self, text: str) -> None:
        choice = with_store(t=text)

        assert choice.token == Secret(TOKEN)

    def test_blank_token_is_none(self) -> None:
        choice = with_store(t="  ")

        assert choice.token is None

    @pytest.mark.parametrize(
        "text", ["a b", "a\r\nX-Evil: 1", "a\0", "é", "a\u2028b", "x" * 513, " " * 511 + "é"]
    )
    def test_token_that_no_header_can_carry_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigInvalid, match=r"stores\[0\]\.t$"):
            with_store(t=text)

    def test_order_and_unknown_codes_are_kept(self) -> None:
        config = decode({"stores": [{"c": "xx"}, {"c": "TB"}, {"c": "tb"}]})

        assert [choice.code for choice in config.stores] == ["xx", "TB", "tb"]


class TestRest:
    def test_what_is_left_out_has_the_documented_default(self) -> None:
        config = decode({"stores": []})

        assert config == UserConfig((), False, (), Filter(), ())
        assert config.filter.exclude_qualities == ("CAM",)
        assert (config.filter.per_resolution, config.filter.max_streams) == (10, 50)

    def test_excluded_qualities_can_be_emptied(self) -> None:
        config = decode({"stores": [], "filter": {"excludeQualities": []}})

        assert config.filter == Filter(exclude_qualities=())

    def test_unknown_keys_are_ignored(self) -> None:
        config = decode(
            {
                "stores": [{"c": "tb", "x": {"y": [1.5, 1e3, None, "é", 10**25]}}],
                "filter": {"z": 1},
                "cached_only": True,
                "Cached": True,
            }
        )

        assert config == decode({"stores": [{"c": "tb"}]})

    @pytest.mark.parametrize(
        ("value", "ignored"),
        [
            ({"stores": [{"c": ""}]}, ("peer-to-peer streams",)),
            ({"stores": [{"c": "p2p"}, {"c": ""}]}, ("peer-to-peer streams",)),
            ({"stores": [], "filter": "Resolution == '1080p'"}, ("filter expressions",)),
            (
                {"stores": [{"c": "p2p"}], "filter": "x"},
                ("peer-to-peer streams", "filter expressions"),
            ),
            ({"stores": [], "filter": ""}, ()),
            ({"stores": [], "filter": "  "}, ()),
        ],
        ids=["empty-code", "both-codes-once", "expression", "all", "no-expression", "blank"],
    )
    def test_what_is_not_there_is_named(
        self, value: dict[str, Any], ignored: tuple[str, ...]
    ) -> None:
        config = decode(value)

        assert config.ignored == ignored
        assert config.stores == ()
        assert config.filter == Filter()

    def test_store_beside_an_ignored_one_works(self) -> None:
        config = decode({"stores": [{"c": "p2p"}, {"c": "tb", "t": TOKEN}]})

        assert [choice.code for choice in config.stores] == ["tb"]

    @pytest.mark.parametrize(
        ("value", "place"),
        [
            ({}, "$"),
            ([], "$"),
            ({"stores": {}}, "$.stores"),
            ({"stores": [{"t": TOKEN}]}, "$.stores[0]"),
            ({"stores": [{"c": "tb"}, {"c": 7}]}, "$.stores[1].c"),
            ({"stores": [{"c": "x" * 17}]}, "$.stores[0].c"),
            ({"stores": [{"c": "tb", "auth": "x" * 129}]}, "$.stores[0].auth"),
            ({"stores": [{"c": "tb"}] * 11}, "$.stores"),
            ({"stores": [], "indexers": [{"u": "x", "ak": "a b"}]}, "$.indexers[0].ak"),
            ({"stores": [], "cached": "yes"}, "$.cached"),
            ({"stores": [], "filter": {"minSize": -1}}, "$.filter.minSize"),
            ({"stores": [], "filter": {"maxSize": 2**53 + 1}}, "$.filter.maxSize"),
            ({"stores": [], "filter": {"maxStreams": 201}}, "$.filter.maxStreams"),
            ({"stores": [], "filter": {"languages": ["x"] * 51}}, "$.filter.languages"),
            ({"stores": [], "filter": {"languages": ["x" * 65]}}, "$.filter.languages[0]"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_mistake_is_placed(self, value: object, place: str) -> None:
        with pytest.raises(ConfigInvalid) as raised:
            decode(value)

        assert raised.value.message == f"the configuration is not as expected: {place}"


def test_no_secret_prints() -> None:
    printed = f"{TYPED!r} {TYPED} {TYPED.stores[0]}"

    assert TYPED.stores[0].auth == UUID(AUTH)
    for secret in (AUTH, UUID(AUTH).hex, str(UUID(AUTH).int), TOKEN):
        assert secret not in printed


def test_broken_auth_shows_in_print() -> None:
    assert repr(with_store(auth="x")) == "StoreChoice('tb', auth=broken, token=None)"
    assert repr(with_store()) == "StoreChoice('tb', auth=none, token=None)"


def test_same_text_is_read_once() -> None:
    text = encode_user_config(UUID(AUTH), ["tb"])

    assert decode_user_config(text) is decode_user_config(text)
