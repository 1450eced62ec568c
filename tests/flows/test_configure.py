"""The configure page as HTML: what it may load, what it holds, and what stays inert in it."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from addon.stores import STORES
from tests.flows.test_saved_configs import PASSWORD, save, with_token
from tests.flows.world import CANARY, Answer, World, config_of, open_world

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
AUTH = "550e8400-e29b-41d4-a716-446655440000"
EVIL = [
    "</script><svg onload=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus='",
    "{{ 7 * 7 }}${7*7}",
    "javascript:alert(1)",
    "]]><!--",
]
HOSTILE = {
    "stores": [{"c": evil[:16], "auth": evil} for evil in EVIL[:3]],
    "sort": EVIL[0],
    "filter": {"resolutions": EVIL, "excludeQualities": EVIL, "excludeKeywords": EVIL},
    EVIL[0]: EVIL[1],
}


class Page(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def main(self) -> dict[str, str]:
        (found,) = self.all("main")
        return found

    @property
    def loaded(self) -> list[str]:
        """Everything that a browser loads by itself."""
        links = [one["href"] for one in self.all("link")]
        return [*links, *(one["src"] for _, one in self.elements if "src" in one)]


def page_of(answer: Answer) -> Page:
    return Page(answer.body.decode())


def segment(config: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(config).encode()).rstrip(b"=").decode()


def page_path(config: object) -> str:
    return f"/stremio/torz/{segment(config)}/configure"


PAGES = (
    ("/configure", 200),
    ("/stremio/torz/configure", 200),
    (page_path({"stores": []}), 200),
    (page_path(HOSTILE), 200),
    ("/stremio/torz/nonsense!/configure", 400),
    (page_path({"stores": 1}), 400),
    ("/stremio/torz/c.AAAAAAAAAAAAAAAAAAAAAA/configure", 404),
)


class TestRoutes:
    async def test_root_leads_to_the_page_whatever_the_host_header_says(self, world: World) -> None:
        answer = await world.get("/", headers={"Host": "evil.example"})

        assert answer.status == 302
        assert answer.headers["location"] == f"{world.base}/stremio/torz/configure"

    async def test_every_page_is_whole_and_under_the_policy(self, world: World) -> None:
        for path, status in PAGES:
            answer = await world.get(path)

            assert answer.status == status, path
            assert answer.headers["content-security-policy"] == CSP
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "access-control-allow-origin" not in answer.headers
            assert page_of(answer).main["data-base"] == world.base

    async def test_standard_alphabet_with_slashes_is_read(self, world: World) -> None:
        text = json.dumps({"stores": [], "x": "~~~????"}, ensure_ascii=False)
        config = base64.b64encode(text.encode()).decode()
        assert "/" in config

        for spelling in (config, quote(config, safe="")):
            answer = await world.get(f"/stremio/torz/{spelling}/configure")

            assert page_of(answer).main["data-config"] == text

    async def test_nothing_of_the_host_header_is_in_the_page(self, world: World) -> None:
        answer = await world.get(
            "/configure", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
        )

        assert b"evil.example" not in answer.body


class TestWhatIsLoaded:
    async def test_page_loads_only_own_files_and_has_no_inline_code(self, world: World) -> None:
        page = page_of(await world.get(page_path(HOSTILE)))

        assert all(url.startswith(("/static/", "data:image/svg+xml")) for url in page.loaded)
        assert [one["type"] for one in page.all("script")] == ["module"]
        assert not page.all("style")
        names = {name for _, attributes in page.elements for name in attributes}
        assert not [name for name in names if name.startswith("on") or name == "style"]

    async def test_files_may_be_kept_for_ever_under_their_digest_only(self, world: World) -> None:
        page = page_of(await world.get("/configure"))

        for path in page.loaded:
            kept = await world.get(path)
            other = await world.get(path.partition("?")[0] + "?v=0123456789abcdef")

            assert (kept.status, other.status) == (200, 200)
            assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert other.headers["cache-control"] == "no-cache"

    async def test_no_other_file_is_served(self, world: World) -> None:
        for name in ("other.js", "..%2Frender.py", "__init__.py", "%00"):
            assert (await world.get(f"/static/{name}")).status in {400, 404}


class TestContent:
    @pytest.mark.parametrize("demo", ["on", "off"])
    async def test_stores_are_offered_and_the_demo_while_it_is_on(
        self, database_url: str, tmp_path: Path, demo: str
    ) -> None:
        async with open_world(database_url, tmp_path, demo=demo) as world:
            page = page_of(await world.get("/configure"))

        offered = [one["data-code"] for one in page.all("fieldset") if "data-code" in one]
        codes = [offer.info.code for offer in STORES]
        assert offered == [code for code in codes if demo == "on" or code != "demo"]

    @pytest.mark.parametrize(
        ("changes", "fields"),
        [
            ({}, {"data-auth", "data-key"}),
            ({"enable_chillstreams_auth": False}, {"data-key"}),
            ({"own_tokens": "off"}, {"data-auth"}),
        ],
        ids=["both", "own-keys-only", "pool-only"],
    )
    async def test_only_what_the_server_takes_is_asked_for(
        self, database_url: str, tmp_path: Path, changes: dict[str, object], fields: set[str]
    ) -> None:
        async with open_world(database_url, tmp_path, **changes) as world:
            page = page_of(await world.get("/configure"))

        asked = {name for one in page.all("input") for name in one}
        assert asked & {"data-auth", "data-key"} == fields

    async def test_config_in_the_url_is_brought_as_it_is(self, world: World) -> None:
        config = {"stores": [{"c": "tb", "auth": AUTH, "t": "own"}], "cached": True, "x": [1]}

        page = page_of(await world.get(page_path(config)))

        assert msgspec.json.decode(page.main["data-config"]) == config

    async def test_hostile_config_is_one_inert_attribute(self, world: World) -> None:
        answer = await world.get(page_path(HOSTILE))

        page = page_of(answer)
        assert msgspec.json.decode(page.main["data-config"]) == HOSTILE
        assert not page.all("svg")
        assert b"onerror=alert(1)>" not in answer.body

    async def test_name_of_the_server_is_escaped(self, database_url: str, tmp_path: Path) -> None:
        async with open_world(database_url, tmp_path, addon_name=EVIL[0]) as world:
            page = page_of(await world.get("/configure"))

        assert len(page.all("script")) == 1
        assert not page.all("svg")

    async def test_broken_config_says_where_and_shows_nothing_of_it(self, world: World) -> None:
        config = {"stores": [{"c": "tb", "t": f"{CANARY} {CANARY}"}]}

        answer = await world.get(page_path(config))

        assert "$.stores[0].t" in answer.body.decode()
        assert CANARY.encode() not in answer.body

    async def test_page_of_a_saved_config_holds_nothing_of_it(self, world: World) -> None:
        token = f"{CANARY}-0123456789abcdef"
        config = with_token(token)
        config["stores"] = [{"c": "tb", "auth": AUTH, "t": token}]
        saved = await save(world, config, PASSWORD)

        answer = await world.get(f"/stremio/torz/c.{saved['id']}/configure")

        page = page_of(answer)
        assert page.main["data-saved-id"] == saved["id"]
        assert page.main["data-config"] == ""
        assert AUTH.encode() not in answer.body
        assert CANARY.encode() not in answer.body

    async def test_empty_page_holds_no_secret_of_the_server(self, world: World) -> None:
        key = await world.add_key()

        answer = await world.get("/configure")

        assert key.reveal().encode() not in answer.body
        assert CANARY.encode() not in answer.body

    async def test_page_without_scripts_says_why_it_needs_them(self, world: World) -> None:
        answer = await world.get("/configure")

        assert "JavaScript" in answer.body.decode().partition("<noscript>")[2]

    async def test_every_field_has_a_label(self, world: World) -> None:
        html = (await world.get("/configure")).body.decode()

        page = Page(html)
        named = {one["for"] for one in page.all("label") if "for" in one}
        fields = [*page.all("input"), *page.all("select"), *page.all("textarea")]
        bare = [one["id"] for one in fields if "id" in one and one["id"] not in named]
        assert all(
            f'<label class="switch"><input type="checkbox" id="{id_}"' in html for id_ in bare
        )


async def test_manifest_leads_to_the_filled_page(world: World) -> None:
    config = config_of({"c": "tb", "auth": AUTH})
    manifest = await world.get(f"/stremio/torz/{config}/manifest.json")

    page = await world.get(f"/stremio/torz/{config}/configure")

    assert manifest.json["behaviorHints"]["configurable"] is True
    assert page.status == 200
