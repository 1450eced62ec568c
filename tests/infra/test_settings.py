"""Settings: what is read, what is refused, and what never shows."""

import base64
import ipaddress
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from infra.secret import Secret
from infra.secret_files import read_or_create
from infra.setting_values import (
    ApiKey,
    ApiScope,
    ConfiguredAddon,
    EmbedProvider,
    Indexer,
    RingKey,
    StoreRate,
)
from infra.settings import (
    Settings,
    SettingsInvalid,
    describe,
    load_settings,
    with_generated_secrets,
)

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.urlsafe_b64encode(b"\xff" * 48).decode().rstrip("=")
CANARY = "CANARY-d41d8cd98f00b204"
MANIFEST = "https://addon.example/x/manifest.json"
ALL_SCOPES: frozenset[ApiScope] = frozenset({"pool", "key:read", "admin"})

# One row for each setting at least (a test below holds that): a text and the value it gives.
GOOD: list[tuple[str, str, object]] = [
    ("BASE_URL", "https://Media.Example/addon/", "https://media.example/addon"),
    ("BASE_URL", "http://[::1]:8080", "http://[::1]:8080"),
    ("HOST", "0.0.0.0", "0.0.0.0"),
    ("HOST", "::", "::"),
    ("HOST", "LocalHost", "localhost"),
    ("PORT", "0", 0),
    ("PORT", " 65535 ", 65535),
    (
        "TRUSTED_PROXIES",
        "10.0.0.0/8, 2001:db8::1",
        (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::1/128")),
    ),
    ("TRUSTED_PROXIES", '["10.0.0.0/8"]', (ipaddress.ip_network("10.0.0.0/8"),)),
    ("DATA_DIR", "/srv/chill", Path("/srv/chill")),
    ("DATABASE_URL", "postgresql://u:p@db/x", Secret("postgresql://u:p@db/x")),
    ("LOG_LEVEL", "WARNING", "warning"),
    ("LOG_FORMAT", "console", "console"),
    ("DEMO", "off", "off"),
    ("ADDON_NAME", "Family films", "Family films"),
    ("ENABLE_CHILLSTREAMS_AUTH", "No", False),
    ("ENABLE_CHILLSTREAMS_AUTH", "1", True),
    ("CHILLSTREAMS_API_KEY", CANARY, (ApiKey(Secret(CANARY), ALL_SCOPES),)),
    (
        "CHILLSTREAMS_API_KEY",
        f"key:read:{CANARY},pool:{CANARY},admin:{CANARY}2",
        (
            ApiKey(Secret(CANARY), frozenset({"pool", "key:read"})),
            ApiKey(Secret(f"{CANARY}2"), frozenset({"admin"})),
        ),
    ),
    ("INTERNAL_API_NETWORKS", "127.0.0.1", (ipaddress.ip_network("127.0.0.1/32"),)),
    ("INTERNAL_API_NETWORKS", "[]", ()),
    ("POOL_TIMEOUT", "PT8S", timedelta(seconds=8)),
    ("POOL_TIMEOUT", "0.2", timedelta(seconds=0.2)),
    ("OWN_TOKENS", "users", "users"),
    ("APP_SECRET", f"a:{KEY}", (RingKey("a", Secret(KEY)),)),
    (
        "POOL_KEK",
        f"new:{OTHER_KEY},old:{KEY}",
        (RingKey("new", Secret(OTHER_KEY)), RingKey("old", Secret(KEY))),
    ),
    ("ADMIN_USERNAME", "root", "root"),
    ("ADMIN_PASSWORD", "correct horse, battery", Secret("correct horse, battery")),
    ("ADMIN_PORT", "9090", 9090),
    ("METRICS_TOKEN", CANARY, Secret(CANARY)),
    ("ALERT_WEBHOOK_URL", "https://hook.example/?t=1", Secret("https://hook.example/?t=1")),
    ("TORBOX_BASE_URL", "http://127.0.0.1:9/api/", "http://127.0.0.1:9/api"),
    ("REAL_DEBRID_BASE_URL", "http://store_sim:9", "http://store_sim:9"),
    ("ALL_DEBRID_BASE_URL", "http://store", "http://store"),
    ("PREMIUMIZE_BASE_URL", "http://store", "http://store"),
    ("DEBRID_LINK_BASE_URL", "http://store", "http://store"),
    ("TORBOX_API_KEY", CANARY, Secret(CANARY)),
    ("REAL_DEBRID_API_KEY", CANARY, Secret(CANARY)),
    ("ALL_DEBRID_API_KEY", CANARY, Secret(CANARY)),
    ("PREMIUMIZE_API_KEY", CANARY, Secret(CANARY)),
    ("DEBRID_LINK_API_KEY", CANARY, Secret(CANARY)),
    ("USER_IP", "2001:DB8::1", "2001:db8::1"),
    ("STORE_TIMEOUT", "10", timedelta(seconds=10)),
    ("STORE_RETRIES", "0", 0),
    (
        "STORE_RATES",
        "realdebrid=200/min:5,torbox=4/s",
        {
            "realdebrid": StoreRate(200, timedelta(minutes=1), 5),
            "torbox": StoreRate(4, timedelta(seconds=1), None),
        },
    ),
    ("PROVIDER_STRATEGY", "priority", "priority"),
    (
        "TORZNAB_INDEXERS",
        f"one|http://idx:9117/torznab|{CANARY}\nopen|https://idx.example/api\n",
        (
            Indexer("one", "http://idx:9117/torznab", Secret(CANARY)),
            Indexer("open", "https://idx.example/api", Secret("")),
        ),
    ),
    ("PROWLARR_API_KEY", CANARY, Secret(CANARY)),
    ("ZILEAN_URL", "http://zilean:8181", "http://zilean:8181"),
    (
        "UPSTREAM_ADDONS",
        f"{MANIFEST},two|https://b.example/a%2Cb%7Cc/manifest.json",
        (
            ConfiguredAddon("addon.example", Secret(MANIFEST)),
            ConfiguredAddon("two", Secret("https://b.example/a%2Cb%7Cc/manifest.json")),
        ),
    ),
    (
        "UPSTREAM_ADDONS",
        '["https://b.example/sort=a|size=b,c/manifest.json"]',
        (ConfiguredAddon("b.example", Secret("https://b.example/sort=a|size=b,c/manifest.json")),),
    ),
    ("USER_INDEXERS", "on", True),
    ("CINEMETA_URL", "http://cinemeta/", "http://cinemeta"),
    ("TMDB_BASE_URL", "http://tmdb/3", "http://tmdb/3"),
    ("TMDB_API_KEY", CANARY, Secret(CANARY)),
    ("ANIME_MAP_FILE", "/srv/anime.json", Path("/srv/anime.json")),
    ("SUBTITLE_ADDONS", f"subs|{MANIFEST}", (ConfiguredAddon("subs", Secret(MANIFEST)),)),
    ("STREAM_API_PUBLIC", "yes", True),
    (
        "CORS_ORIGINS",
        "https://App.example,http://localhost:3000",
        ("https://app.example", "http://localhost:3000"),
    ),
    (
        "EMBED_PROVIDERS",
        "one|https://e.example/{tmdb_id}?i={imdb_id}",
        (EmbedProvider("one", "https://e.example/{tmdb_id}?i={imdb_id}"),),
    ),
    ("TARGET_QUALITY", "1080P", "1080p"),
    ("ALLOW_LOWER_QUALITY_UNTIL_UPGRADE", "off", False),
    ("MIN_QUALITY_TO_PUBLISH", "cam", "CAM"),
    ("INGEST_DISCOVER_CRON", "0,30  1-5 */2 1-12/3 0-7", "0,30 1-5 */2 1-12/3 0-7"),
    ("INGEST_REFRESH_CRON", "59 23 31 12 7", "59 23 31 12 7"),
    ("INGEST_REVERIFY_CRON", "* * * * *", "* * * * *"),
    ("RATE_LIMIT_RPS", "4", 4),
    ("GRACE_PERIOD_HOURS", "0", 0),
    ("MAX_RETRY_ATTEMPTS", "5", 5),
    ("TMDB_REGIONS", "us,DE", ("US", "DE")),
    ("TMDB_PAGES", "500", 500),
    ("RATE_LIMIT_REQUESTS", "7", 7),
    ("RATE_LIMIT_WINDOW", "PT1M", timedelta(minutes=1)),
    ("LISTS_PER_USER", "1", 1),
    ("LISTS_PER_NETWORK", "1", 1),
    ("IPV6_PREFIX", "56", 56),
    ("AGGREGATOR_SECRETS", f"{CANARY},{CANARY}2", (Secret(CANARY), Secret(f"{CANARY}2"))),
    ("STREAM_PROXY", "own", "own"),
    ("ITEM_CLEANUP", "off", None),
    ("ITEM_CLEANUP", "ours-after-30d", timedelta(days=30)),
    ("USAGE_FSYNC_MS", "20", 20),
    ("USAGE_RETENTION_DAYS", "1", 1),
]
# These stand only beside another one.
GOOD_PAIRS: list[tuple[dict[str, str], str, object]] = [
    (
        {"CHILLSTREAMS_API_URL": "https://pool.example/", "CHILLSTREAMS_API_KEY": CANARY},
        "CHILLSTREAMS_API_URL",
        "https://pool.example",
    ),
    (
        {"DATABASE_URL": "postgresql://a", "DATABASE_DIRECT_URL": "postgres://b"},
        "DATABASE_DIRECT_URL",
        Secret("postgres://b"),
    ),
    (
        {"PROWLARR_URL": "http://prowlarr:9696", "PROWLARR_API_KEY": CANARY},
        "PROWLARR_URL",
        "http://prowlarr:9696",
    ),
]

BAD_URLS = [
    "example.org", "ftp://example.org", "http://", "http:///path", "http://host:99999",
    "http://host:0", f"http://user:{CANARY}@host", "http://host/?a=b", "http://host/#a",
    "http://[::1", "http://[host]", "http://[v1.a]", "http://ho st", "http://host/a b", "http://host/../etc",
    "http://-host", "http://host\\@evil", 'http://host/"x"', "http://hôst", "http://a\nhttp://b",
]  # fmt: skip
BAD_WHOLE = ["x", "1.5", "-1", "1e3", "0x10", "٣", "99999999999999999999", "1 2"]
BAD_DURATION = ["soon", "-1", "nan", "inf", "0", "9999999", "8s", "PT-8S"]
BAD_CRON = [
    "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 * ", "* * * * 8",
    "*/0 * * * *", "5/5 * * * *", "5-1 * * * *", "a * * * *", "1, * * * *", "@daily",
]  # fmt: skip
BAD_ADDONS = [
    "https://addon.example/", "https://addon.example/manifest.json?x=1", "name|", "|",
    "manifest.json",
    f"https://u:{CANARY}@addon.example/manifest.json", "ftp://addon.example/manifest.json",
    f"{MANIFEST},{MANIFEST}", f"{'n' * 41}|{MANIFEST}", '["x"', "[1]", '[["x"]]', "[" * 5000,
]  # fmt: skip
BAD_RINGS = [
    KEY, f":{KEY}", f"a b:{KEY}", "a:", "a:c2hvcnQ=", f"a:{KEY[:-4]}", f"a:{CANARY}!!", "a:é" * 20,
    f"a:{KEY},a:{OTHER_KEY}", f"{'i' * 17}:{KEY}",
]  # fmt: skip
BAD_TOKENS = ["two words", "kéy", "a\nb", "a\x00b", "a\udc80b"]

BAD: dict[str, list[str]] = {
    "BASE_URL": BAD_URLS,
    "HOST": ["a b", "http://x", "-x", "a" * 254, "[::1]", "x:80"],
    "PORT": [*BAD_WHOLE, "65536"],
    "TRUSTED_PROXIES": ["10.0.0.1/8", "10.0.0.0/33", "all", "10.0.0.0/8,x", "[10.0.0.0/8]"],
    "DATA_DIR": ["a\x00b", "~nobody-of-this-name/x"],
    "DATABASE_URL": ["mysql://x", f"{CANARY}", "postgresql://a\nb"],
    "DATABASE_DIRECT_URL": ["db.example"],
    "LOG_LEVEL": ["verbose"],
    "LOG_FORMAT": ["xml"],
    "DEMO": ["true"],
    "ADDON_NAME": ["x" * 41, "a\nb", "a\x1bb"],
    "ENABLE_CHILLSTREAMS_AUTH": ["maybe", "2", "tru"],
    "CHILLSTREAMS_API_URL": BAD_URLS,
    "CHILLSTREAMS_API_KEY": [f"poool:{CANARY}", "pool:", f"key:{CANARY}", "two words", "[{}]"],
    "INTERNAL_API_NETWORKS": ["private"],
    "POOL_TIMEOUT": BAD_DURATION,
    "OWN_TOKENS": ["on"],
    "APP_SECRET": BAD_RINGS,
    "POOL_KEK": BAD_RINGS,
    "ADMIN_USERNAME": ["x" * 41],
    "ADMIN_PASSWORD": ["a\nb", "a\udc80b"],
    "ADMIN_PORT": ["65536"],
    "METRICS_TOKEN": BAD_TOKENS,
    "ALERT_WEBHOOK_URL": ["hook.example", f"https://u:{CANARY}@hook.example"],
    "TORBOX_BASE_URL": BAD_URLS,
    "REAL_DEBRID_BASE_URL": BAD_URLS,
    "ALL_DEBRID_BASE_URL": BAD_URLS,
    "PREMIUMIZE_BASE_URL": BAD_URLS,
    "DEBRID_LINK_BASE_URL": BAD_URLS,
    "TORBOX_API_KEY": BAD_TOKENS,
    "REAL_DEBRID_API_KEY": BAD_TOKENS,
    "ALL_DEBRID_API_KEY": BAD_TOKENS,
    "PREMIUMIZE_API_KEY": BAD_TOKENS,
    "DEBRID_LINK_API_KEY": BAD_TOKENS,
    "USER_IP": ["10.0.0.0/8", "me"],
    "STORE_TIMEOUT": BAD_DURATION,
    "STORE_RETRIES": ["-1", "11"],
    "STORE_RATES": [
        "realdebrid", "realdebrid=200", "realdebrid=200/day", "realdebrid=0/s", "torbox=1/s:0",
        "rd=200/min", "torbox=1/s,torbox=2/s",
    ],
    "PROVIDER_STRATEGY": ["random"],
    "TORZNAB_INDEXERS": [
        "one", f"one||{CANARY}", f"|http://x|{CANARY}", f"one|http://x/?t=search|{CANARY}",
        "a|http://x|k,a|http://y|k", f"one|http://x|{CANARY} two",
    ],
    "PROWLARR_URL": BAD_URLS,
    "PROWLARR_API_KEY": BAD_TOKENS,
    "ZILEAN_URL": BAD_URLS,
    "UPSTREAM_ADDONS": BAD_ADDONS,
    "USER_INDEXERS": ["all"],
    "CINEMETA_URL": BAD_URLS,
    "TMDB_BASE_URL": BAD_URLS,
    "TMDB_API_KEY": BAD_TOKENS,
    "ANIME_MAP_FILE": ["a\x00b"],
    "SUBTITLE_ADDONS": BAD_ADDONS,
    "STREAM_API_PUBLIC": ["public"],
    "CORS_ORIGINS": ["*", "https://app.example/path", "app.example", "null"],
    "EMBED_PROVIDERS": [
        "https://e.example/{tmdb_id}", "one|https://e.example/1", "one|https://e.example/{id}",
        "one|https://e.example/{tmdb_id", "one|https://{tmdb_id}.example/", "one|ftp://e/{imdb_id}",
        "a|https://e/{imdb_id},a|https://f/{imdb_id}",
    ],
    "TARGET_QUALITY": ["4k"],
    "ALLOW_LOWER_QUALITY_UNTIL_UPGRADE": ["sometimes"],
    "MIN_QUALITY_TO_PUBLISH": ["HD"],
    "INGEST_DISCOVER_CRON": BAD_CRON,
    "INGEST_REFRESH_CRON": BAD_CRON,
    "INGEST_REVERIFY_CRON": BAD_CRON,
    "RATE_LIMIT_RPS": ["0", "101", "1.5"],
    "GRACE_PERIOD_HOURS": ["-1", "8761"],
    "MAX_RETRY_ATTEMPTS": ["21"],
    "TMDB_REGIONS": ["USA", "U1", "US,x"],
    "TMDB_PAGES": ["0", "501"],
    "RATE_LIMIT_REQUESTS": ["0", "1000001"],
    "RATE_LIMIT_WINDOW": BAD_DURATION,
    "LISTS_PER_USER": ["0"],
    "LISTS_PER_NETWORK": ["0"],
    "IPV6_PREFIX": ["47", "65"],
    "AGGREGATOR_SECRETS": [f"{CANARY},two words"],
    "STREAM_PROXY": ["on"],
    "ITEM_CLEANUP": ["ours-after-0d", "all", "ours-after-7", "ours-after-1000d"],
    "USAGE_FSYNC_MS": ["0", "60001"],
    "USAGE_RETENTION_DAYS": ["0", "3651"],
}  # fmt: skip


def load(**environ: str) -> Settings:
    return load_settings(environ, env_file=None)


def mistakes_of(environ: dict[str, str], env_file: Path | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ, env_file)
    return caught.value.mistakes


def env_file(directory: Path, text: str) -> Path:
    file = directory / ".env"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("name", "text", "value"), GOOD, ids=lambda value: str(value)[:40])
def test_good_value_is_read(name: str, text: str, value: object) -> None:
    settings = load(**{name: text})

    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize(
    ("environ", "name", "value"), GOOD_PAIRS, ids=[name for _, name, _ in GOOD_PAIRS]
)
def test_value_that_needs_another_is_read_beside_it(
    environ: dict[str, str], name: str, value: object
) -> None:
    settings = load(**environ)

    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(name, text, id=f"{name}-{number}")
        for name, texts in BAD.items()
        for number, text in enumerate(texts)
    ],
)
def test_bad_value_is_named_and_not_shown(name: str, text: str) -> None:
    mistakes = mistakes_of({name: text})

    assert mistakes
    assert all(mistake.startswith(f"{name}: ") for mistake in mistakes)
    assert all("expected" in mistake and "\n" not in mistake for mistake in mistakes)
    assert CANARY not in "".join(mistakes)
    assert KEY[:-4] not in "".join(mistakes)


def test_tables_above_cover_every_setting() -> None:
    names = {row.name for row in describe()}

    assert {name for name, _, _ in GOOD} | {name for _, name, _ in GOOD_PAIRS} == names
    assert set(BAD) == names


@pytest.mark.parametrize("row", describe(), ids=lambda row: row.name)
def test_documented_default_is_the_default(row: msgspec.Struct) -> None:
    name, default, _ = msgspec.structs.astuple(row)
    written = "" if default in {"unset", "generated", "80 % of the published limits"} else default

    assert load(**{name: written}) == Settings()


def test_all_mistakes_are_listed_at_once_in_one_error(tmp_path: Path) -> None:
    file = env_file(tmp_path, "TORBOX_KEY=x\nIPV6_PREFIX=12\nbroken line\n")
    environ = {"PORT": "http", "TRUSTED_PROXIES": "a,10.0.0.0/8,b", "TMDB_API_KEY": "a b"}

    with pytest.raises(SettingsInvalid) as caught:
        load_settings(environ, file)

    assert [mistake.split(",")[0] for mistake in caught.value.mistakes] == [
        ".env: line 3: not an assignment",
        ".env: line 1: not a setting",
        "PORT: not a whole number",
        "TRUSTED_PROXIES: entry 1: not a network",
        "TRUSTED_PROXIES: entry 3: not a network",
        "TMDB_API_KEY: a blank or a character outside ASCII in it",
        "IPV6_PREFIX: out of range",
    ]
    assert caught.value.message == str(caught.value) == "\n".join(caught.value.mistakes)
    assert caught.value.code == "settings_invalid"


@pytest.mark.parametrize(
    ("environ", "mistake"),
    [
        pytest.param(
            {"CHILLSTREAMS_API_URL": "http://pool"},
            "CHILLSTREAMS_API_KEY: not set",
            id="remote pool",
        ),
        pytest.param({"PROWLARR_URL": "http://p"}, "PROWLARR_API_KEY: not set", id="prowlarr"),
        pytest.param(
            {"DATABASE_DIRECT_URL": "postgresql://x"}, "DATABASE_URL: not set", id="direct database"
        ),
        pytest.param(
            {"TARGET_QUALITY": "720p", "MIN_QUALITY_TO_PUBLISH": "1080p"},
            "MIN_QUALITY_TO_PUBLISH: above TARGET_QUALITY",
            id="qualities",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], mistake: str
) -> None:
    mistakes = mistakes_of(environ)

    assert [found.split(",")[0] for found in mistakes] == [mistake]


def test_setting_that_could_not_be_read_is_not_called_missing_too() -> None:
    mistakes = mistakes_of({"CHILLSTREAMS_API_URL": "http://p", "CHILLSTREAMS_API_KEY": "a b"})

    assert len(mistakes) == 1


def test_remote_pool_without_pool_auth_needs_no_key() -> None:
    settings = load(CHILLSTREAMS_API_URL="http://pool", ENABLE_CHILLSTREAMS_AUTH="false")

    assert not settings.is_embedded_pool


def test_no_secret_shows_in_the_settings_or_leaves_the_list_of_secrets() -> None:
    settings = load(
        TORBOX_API_KEY=f"{CANARY}1",
        DATABASE_URL=f"postgresql://u:{CANARY}2@db/x",
        TORZNAB_INDEXERS=f"one|http://x|{CANARY}3",
        UPSTREAM_ADDONS=f"https://a.example/{CANARY}4/manifest.json",
        CHILLSTREAMS_API_KEY=f"pool:{CANARY}5",
        APP_SECRET=f"a:{KEY}",
        AGGREGATOR_SECRETS=f"{CANARY}6",
        ADMIN_PASSWORD=f"{CANARY}7",
    )

    revealed = " ".join(secret.reveal() for secret in settings.all_secrets())

    assert CANARY not in repr(settings)
    assert KEY not in repr(settings)
    assert all(f"{CANARY}{number}" in revealed for number in range(1, 8))
    assert KEY in revealed


def test_unset_base_url_follows_the_port() -> None:
    assert load(PORT="9000").base_url == "http://127.0.0.1:9000"
    assert load(PORT="9000", BASE_URL="https://x.example").base_url == "https://x.example"


def test_store_urls_and_keys_go_by_the_name_of_the_store() -> None:
    settings = load(DEBRID_LINK_API_KEY=CANARY, REAL_DEBRID_BASE_URL="http://sim")

    assert settings.store_keys == {"debridlink": Secret(CANARY)}
    assert settings.store_base_urls == {
        "torbox": "https://api.torbox.app/v1/api",
        "realdebrid": "http://sim",
        "alldebrid": "https://api.alldebrid.com",
        "premiumize": "https://www.premiumize.me/api",
        "debridlink": "https://debrid-link.com/api/v2",
    }


def test_direct_database_is_the_database_unless_set() -> None:
    plain = load(DATABASE_URL="postgresql://a")
    pooled = load(DATABASE_URL="postgresql://a", DATABASE_DIRECT_URL="postgresql://b")

    assert plain.direct_database_url == Secret("postgresql://a")
    assert pooled.direct_database_url == Secret("postgresql://b")
    assert not plain.is_embedded_database
    assert load().is_embedded_database
    assert load().direct_database_url is None


def test_ring_key_gives_its_bytes() -> None:
    (key,) = load(APP_SECRET=f"a:{KEY}").app_secret

    assert key.raw == bytes(range(32))


def test_environment_of_the_process_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADDON_NAME", "From the environment")

    assert load_settings(env_file=None).addon_name == "From the environment"


# --- where values come from


def test_environment_wins_over_env_file(tmp_path: Path) -> None:
    file = env_file(tmp_path, "PORT=1000\nADDON_NAME=from the file\nHOST=::1\n")

    settings = load_settings({"PORT": "2000", "HOST": ""}, file)

    assert (settings.port, settings.addon_name, settings.host) == (2000, "from the file", "::1")


def test_secret_comes_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{CANARY}\n")

    settings = load(TORBOX_API_KEY_FILE=str(tmp_path / "key"))

    assert settings.torbox_api_key == Secret(CANARY)


def test_secret_file_of_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    file = env_file(tmp_path, "TORBOX_API_KEY=other")

    settings = load_settings({"TORBOX_API_KEY_FILE": str(tmp_path / "key")}, file)

    assert settings.torbox_api_key == Secret(CANARY)


def test_secret_set_by_value_and_by_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)

    mistakes = mistakes_of({"TMDB_API_KEY": "x", "TMDB_API_KEY_FILE": str(tmp_path / "key")})

    assert mistakes == (
        "TMDB_API_KEY: set twice, expected either TMDB_API_KEY or TMDB_API_KEY_FILE",
    )


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="blank"),
        pytest.param(b"\xff\xfe" + CANARY.encode(), id="binary"),
        pytest.param(CANARY.encode() * 4000, id="huge"),
    ],
)
def test_unusable_secret_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / CANARY
    if content is not None:
        file.write_bytes(content)

    mistakes = mistakes_of({"TMDB_API_KEY_FILE": str(file)})

    assert len(mistakes) == 1
    assert mistakes[0].startswith("TMDB_API_KEY: TMDB_API_KEY_FILE ")
    assert CANARY not in mistakes[0]


def test_only_secrets_have_a_file_form(tmp_path: Path) -> None:
    file = env_file(tmp_path, "STREAM_PROXY_FILE=x")

    assert mistakes_of({}, file) == (
        ".env: line 1: not a setting, expected a name of the README's table",
    )


# --- .env


@pytest.mark.parametrize(
    ("line", "value"),
    [
        pytest.param("ADMIN_PASSWORD=plain", "plain", id="plain"),
        pytest.param("export ADMIN_PASSWORD=plain", "plain", id="export"),
        pytest.param("  ADMIN_PASSWORD = plain text ", "plain text", id="spaces"),
        pytest.param("ADMIN_PASSWORD=plain # why", "plain", id="comment"),
        pytest.param("ADMIN_PASSWORD=a#b", "a#b", id="hash inside"),
        pytest.param("ADMIN_PASSWORD=a=b", "a=b", id="equals sign"),
        pytest.param("ADMIN_PASSWORD=$HOME${PATH}", "$HOME${PATH}", id="no interpolation"),
        pytest.param("ADMIN_PASSWORD='a # \"b\\n'  # why", 'a # "b\\n', id="single quotes"),
        pytest.param('ADMIN_PASSWORD="a # \\"b\\" \\\\ \\d"', 'a # "b" \\ \\d', id="double quotes"),
        pytest.param("ADMIN_PASSWORD=it's", "it's", id="quote inside"),
        pytest.param("\ufeff# a file\r\n\r\nADMIN_PASSWORD=x\r\n", "x", id="from Windows"),
    ],
)
def test_env_file_value_is_read(line: str, value: str, tmp_path: Path) -> None:
    settings = load_settings({}, env_file(tmp_path, line))

    assert settings.admin_password == Secret(value)


@pytest.mark.parametrize("written", ["a.example\nb.example", "a.example\\nb.example"])
def test_double_quotes_hold_one_entry_a_line(written: str, tmp_path: Path) -> None:
    text = 'CORS_ORIGINS="' + written.replace("a.e", "http://a.e").replace("b.e", "http://b.e")
    file = env_file(tmp_path, f'{text}"\nPORT=1\n')

    settings = load_settings({}, file)

    assert settings.cors_origins == ("http://a.example", "http://b.example")
    assert settings.port == 1


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        pytest.param(f"PORT=1\n{CANARY}\n", ".env: line 2: not an assignment", id="no equals sign"),
        pytest.param(f'A\n\nPORT="{CANARY}\n', ".env: line 3: a quote is not closed", id="open"),
        pytest.param(f"PORT='1' {CANARY}", ".env: line 1: a quote is not closed", id="tail"),
        pytest.param('X="a\nb"\nPORT=1\nPORT=2', ".env: line 4: set a second time", id="twice"),
        pytest.param("TORBOX_APIKEY=x", ".env: line 1: TORBOX_APIKEY is not a setting", id="near"),
        pytest.param(f"{CANARY[:6]}={CANARY}", ".env: line 1: not a setting", id="unknown"),
    ],
)
def test_mistake_in_env_file_names_its_line_and_no_content(
    text: str, mistake: str, tmp_path: Path
) -> None:
    mistakes = mistakes_of({}, env_file(tmp_path, text))

    assert mistake in [found.split(",")[0] for found in mistakes]
    assert "CANARY" not in "".join(mistakes)


def test_missing_env_file_is_no_mistake(tmp_path: Path) -> None:
    assert load_settings({}, tmp_path / ".env") == Settings()


@pytest.mark.parametrize("make", ["directory", "binary"])
def test_unreadable_env_file_is_a_mistake(make: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    if make == "directory":
        file.mkdir()
    else:
        file.write_bytes(b"PORT=\xff")

    assert mistakes_of({}, file) == (".env: cannot be read, expected a text file in UTF-8",)


# --- warnings


@pytest.mark.parametrize(
    ("environ", "warned"),
    [
        pytest.param({"TORBOX_APIKEY": "x"}, ["TORBOX_APIKEY"], id="underscore"),
        pytest.param({"REAL_DEBIRD_API_KEY": "x"}, ["REAL_DEBIRD_API_KEY"], id="letters swapped"),
        pytest.param({"DATABASE_URI": "x"}, ["DATABASE_URI"], id="other letter"),
        pytest.param({"APP_SECRET_FIL": "x"}, ["APP_SECRET_FIL"], id="file form"),
        pytest.param({"base_url": "x"}, ["base_url"], id="case"),
        pytest.param(
            {"PATH": "x", "HOME": "x", "HOSTNAME": "x", "USER": "x", "LOGNAME": "x", "PORT_": ""},
            ["PORT_"],
            id="others",
        ),
        pytest.param({"BASE_URL": "http://192.0.2.1:8080"}, ["BASE_URL"], id="plain http"),
        pytest.param({"BASE_URL": "http://app.localhost:8080"}, [], id="this machine"),
        pytest.param({"BASE_URL": "http://[::1]:8080"}, [], id="loopback"),
        pytest.param({"BASE_URL": "https://192.0.2.1"}, [], id="https"),
        pytest.param({"TRUSTED_PROXIES": "0.0.0.0/0"}, ["TRUSTED_PROXIES"], id="trusts everybody"),
        pytest.param({"ADMIN_PASSWORD": "hunter2"}, ["ADMIN_PASSWORD"], id="short password"),
        pytest.param(
            {"CHILLSTREAMS_API_KEY": f"{CANARY},pool:short"},
            ["CHILLSTREAMS_API_KEY"],
            id="short key",
        ),
    ],
)
def test_doubtful_environment_is_warned_of(environ: dict[str, str], warned: list[str]) -> None:
    settings = load(**environ)

    assert [warning.split(":")[0] for warning in settings.warnings] == warned


def test_misspelt_name_is_told_the_closest_one() -> None:
    settings = load(EAL_DEBRID_API_KEY=CANARY)

    assert settings.warnings == (
        "EAL_DEBRID_API_KEY: not a setting, and much like REAL_DEBRID_API_KEY",
    )


# --- generated secrets


def test_generated_secrets_are_kept_in_private_files(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"

    made = with_generated_secrets(Settings(), data_dir)

    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in data_dir.iterdir()}
    assert modes == dict.fromkeys(
        ["app_secret", "internal_api_key", "pool_kek", "secrets.lock"], 0o600
    )
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert len(made.app_secret[0].raw) == 32
    assert len({key.secret for key in (*made.app_secret, *made.pool_kek)}) == 2
    assert made.chillstreams_api_key[0].scopes == ALL_SCOPES


def test_generated_secrets_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    first = with_generated_secrets(Settings(), tmp_path)

    second = with_generated_secrets(Settings(), tmp_path)

    assert second == first
    assert with_generated_secrets(Settings(), tmp_path / "other") != first


def test_secrets_that_are_set_are_not_generated(tmp_path: Path) -> None:
    settings = load(APP_SECRET=f"a:{KEY}", POOL_KEK=f"b:{KEY}", CHILLSTREAMS_API_KEY=CANARY)

    assert with_generated_secrets(settings, tmp_path / "data") == settings
    assert not (tmp_path / "data").exists()


def test_secrets_of_the_pool_are_not_made_where_the_pool_is_remote(tmp_path: Path) -> None:
    settings = load(CHILLSTREAMS_API_URL="http://pool", CHILLSTREAMS_API_KEY=CANARY)

    made = with_generated_secrets(settings, tmp_path)

    assert made.app_secret
    assert not made.pool_kek
    assert not (tmp_path / "pool_kek").exists()


@pytest.mark.parametrize("name", ["app_secret", "pool_kek", "internal_api_key"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[: len(content) // 2], id="half"),
        pytest.param(lambda content: b"\xff" + content[1:], id="binary"),
        pytest.param(lambda content: content * 2, id="doubled"),
    ],
)
def test_damaged_secret_file_is_an_error_and_stays(
    name: str, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    with_generated_secrets(Settings(), tmp_path)
    file = tmp_path / name
    file.write_bytes(damage(file.read_bytes()))
    before = file.read_bytes()

    with pytest.raises(SettingsInvalid) as caught:
        with_generated_secrets(Settings(), tmp_path)

    (mistake,) = caught.value.mistakes
    assert f"the file {name} in DATA_DIR is damaged" in mistake
    assert file.read_bytes() == before


def test_data_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SettingsInvalid) as caught:
        with_generated_secrets(Settings(), tmp_path / "file")

    assert [mistake.split(":")[0] for mistake in caught.value.mistakes] == [
        "APP_SECRET", "POOL_KEK", "CHILLSTREAMS_API_KEY",
    ]  # fmt: skip


def test_failed_write_leaves_no_secret_file(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        read_or_create(tmp_path / "secret", lambda: "é")

    assert [file.name for file in tmp_path.iterdir()] == ["secrets.lock"]


RACER = """
import sys
from pathlib import Path
from infra.settings import Settings, with_generated_secrets
print("ready", flush=True)
sys.stdin.readline()
made = with_generated_secrets(Settings(), Path(sys.argv[1]))
print(*(secret.fingerprint for secret in made.all_secrets()))
"""


def test_processes_that_start_at_once_end_with_the_same_secrets(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path / "data")],
            cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(6)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"

    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = {racer.communicate()[0] for racer in racers}

    assert len(answers) == 1
    assert len(answers.pop().split()) == 3
