"""A site opened from disk, without a server: links lead to pages, the search finds, and nothing is asked of anybody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser
ARGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]


class Visit:
    """A browser on the files, and whatever it asked for elsewhere or complained of."""

    def __init__(self, browser: sync_api.Browser, site: Path) -> None:
        self.page = browser.new_page()
        self.wrong: list[str] = []
        self.home = site.as_uri()
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("requestfailed", self._failed)
        self.page.on("request", lambda r: None if r.url.startswith((self.home, "data:", "blob:")) else self._say(r.url))
        self.page.goto(f"{self.home}/index.html")

    def _say(self, url: str) -> None:
        self.wrong.append(url)

    def _failed(self, request: sync_api.Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # what was still on its way when the next page was asked for
            self._say(request.url)

    def follow(self, selector: str) -> None:
        with self.page.expect_navigation(wait_until="load"):
            self.page.click(selector)

    def at(self) -> str:
        return self.page.url.removeprefix(self.home).partition("?")[0]


@pytest.fixture
def visit(chromium: str, site: Path) -> Iterator[Visit]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        yield Visit(browser, site)
        browser.close()


def test_links_lead_to_pages_and_math_has_its_fonts(visit: Visit) -> None:
    visit.follow("main >> text=Denoising Diffusion Probabilistic Models")
    assert visit.at() == "/papers/ddpm/index.html"
    assert visit.page.locator(".kb-math .katex-html").count() >= 4
    visit.page.evaluate("document.fonts.ready")
    assert visit.page.evaluate("document.fonts.check('16px KaTeX_Main')")
    visit.follow(".kb-link >> text=the network")
    assert visit.at() == "/papers/unet/index.html"
    visit.follow(".kb-link >> text=the diffusion paper")
    visit.follow(".md-header .md-logo")
    assert visit.at() == "/index.html" and visit.wrong == []


def test_the_search_finds_and_leads_to_a_page(visit: Visit) -> None:
    visit.page.locator(".md-search__input").click()
    visit.page.locator(".md-search__input").press_sequentially("backbone")
    result = visit.page.locator(".md-search-result__item a").first
    result.wait_for(timeout=10_000)
    assert "U-Net & friends" in result.inner_text()
    result.click()
    visit.page.wait_for_url("**/papers/unet/index.html**")
    assert visit.wrong == []


def test_the_index_of_the_search_is_the_one_that_a_server_gives(site: Path) -> None:
    text = (site / "search/search_index.js").read_text("utf-8")
    assert text.startswith("var __index = {")
    fetched = json.loads((site / "search/search_index.json").read_text("utf-8"))
    assert json.loads(text.removeprefix("var __index = ")) == fetched and len(fetched["docs"]) > 5
