"""The built site in a real browser: looks, math, search, keyboard, and no request to another host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kb.site.build import BuildReport

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser
ARGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
NOTES = ["papers/ddpm/", "papers/unet/", "courses/cs336/", "guide/write-a-note/"]
PAGES = ["", *NOTES, "status/reading/", "tags/", "tags/c/", "kinds/", "years/", "topics/", "claims/", "reproductions/"]
CONTRAST = """() => {
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const lum = c => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = text => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data] };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
    if (c[3] > 250) return c.slice(0, 3) } return [255, 255, 255] };
  const low = [];
  for (const e of document.querySelectorAll(".md-content *, .md-tabs__link, .md-header__topic, .md-footer *")) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!text || e.closest(".katex, .headerlink, [hidden]") || !e.offsetParent) continue;
    const color = rgba(getComputedStyle(e).color);
    const [a, b] = [lum(color.slice(0, 3)), lum(behind(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) low.push(`${e.className || e.tagName}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        yield found
        found.close()


class Visit:
    """A page of the site, and what went wrong on it: foreign requests, failed ones, errors of scripts."""

    def __init__(self, browser: sync_api.Browser, url: str, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.url = url
        self.wrong: list[str] = []
        self.page.route("**/*", self._route)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("response", lambda r: self.wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)

    def _route(self, route: sync_api.Route) -> None:
        if route.request.url.startswith((self.url, "data:", "blob:")):
            route.continue_()
        else:
            self.wrong.append(route.request.url)
            route.abort()

    def go(self, uri: str) -> sync_api.Page:
        self.page.goto(self.url + uri, wait_until="load")
        return self.page


@pytest.fixture
def visit(browser: sync_api.Browser, url: str) -> Iterator[Visit]:
    found = Visit(browser, url, viewport={"width": 1280, "height": 900})
    yield found
    found.context.close()


def test_no_page_asks_another_host_or_fails(visit: Visit) -> None:
    for uri in PAGES:
        visit.go(uri)
    assert visit.wrong == []
    assert visit.page.title() != "owned"


def test_math_is_drawn(visit: Visit) -> None:
    page = visit.go("papers/ddpm/")
    assert page.locator(".kb-math .katex-html").count() >= 4 and page.locator(".kb-math--failed").count() == 0
    assert page.locator(".kb-math--display").first.bounding_box()["height"] > 20
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    assert visit.go("topics/").locator("script[src*=katex]").count() == 0
    assert visit.wrong == []


def test_search_finds_a_note_by_a_word_and_by_an_author(visit: Visit) -> None:
    page = visit.go("")
    for words in ("chain", "Abbeel"):
        page.locator(".md-search__input").click()
        page.locator(".md-search__input").press_sequentially(words)
        result = page.locator(".md-search-result__item a").first
        result.wait_for(timeout=10_000)
        assert "Denoising" in result.inner_text()
        page.goto(visit.url)
    assert visit.wrong == []


def test_a_result_of_the_search_is_a_few_lines(browser: sync_api.Browser, report: BuildReport, url: str) -> None:
    visit = Visit(browser, url, viewport={"width": 1280, "height": 900})
    page = visit.go("")
    page.locator(".md-search__input").click()
    page.locator(".md-search__input").press_sequentially("chain")
    article = page.locator(".md-search-result__article").first
    article.wait_for(timeout=10_000)
    assert article.locator("> p:visible").all_inner_texts() == [
        "With \\alpha_t = 1 - \\beta_t it costs $5 and gives a chain. Seen in private note too."
    ]
    words = " ".join(article.evaluate("e => e.textContent").split())
    assert "images CIFAR-10 FID 3.17 Table 1" in words and "taskdata" not in words and "seed 1" not in words
    page.locator(".md-search__input").fill("")
    page.locator(".md-search__input").press_sequentially("zygote")
    article = page.locator(".md-search-result__article", has_text="Long-winded")
    article.wait_for(timeout=10_000)
    shown = article.locator("> p:visible")
    assert shown.count() == 2 and all(text.startswith("A zygote") for text in shown.all_inner_texts())
    heights = shown.evaluate_all("all => all.map(e => e.clientHeight / parseFloat(getComputedStyle(e).lineHeight))")
    assert [round(lines) for lines in heights] == [3, 3]
    visit.context.close()


def test_what_scrolls_or_opens_can_be_named_and_reached(visit: Visit) -> None:
    page = visit.go("papers/ddpm/")
    assert page.locator('[role="dialog"]').evaluate_all("all => all.map(e => e.ariaLabel)") == ["Search"]
    assert page.locator(".kb-scroll:not([tabindex])").count() == 0 < page.locator(".kb-scroll").count()
    levels = visit.go("topics/").locator("main :is(h1, h2, h3)").evaluate_all("all => all.map(e => e.tagName)")
    assert levels[:2] == ["H1", "H2"] and "H3" not in levels


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_phones_need_no_sideways_scrolling(
    browser: sync_api.Browser, url: str, scheme: str
) -> None:
    visit = Visit(browser, url, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for uri in PAGES:
        page = visit.go(uri)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), uri
        assert page.evaluate(CONTRAST) == [], (scheme, uri)
    visit.context.close()


def test_dark_follows_the_system(browser: sync_api.Browser, url: str) -> None:
    for scheme, bright in (("light", True), ("dark", False)):
        visit = Visit(browser, url, color_scheme=scheme)
        color = visit.go("").evaluate("getComputedStyle(document.body).backgroundColor")
        assert (int(color.split("(")[1].split(",")[0]) > 128) is bright
        visit.context.close()


def test_bibtex_is_copied_with_the_keyboard(browser: sync_api.Browser, url: str) -> None:
    visit = Visit(browser, url, permissions=["clipboard-read", "clipboard-write"])
    page = visit.go("papers/ddpm/")
    page.locator(".kb-bibtex summary").focus()
    page.keyboard.press("Enter")
    page.locator(".kb-bibtex button").focus()
    page.keyboard.press("Enter")
    assert "ho2020denoising" in page.evaluate("navigator.clipboard.readText()")
    visit.context.close()


def test_a_reader_without_scripts_still_reads(browser: sync_api.Browser, url: str) -> None:
    visit = Visit(browser, url, java_script_enabled=False)
    assert "x_t = " in visit.go("papers/ddpm/").locator(".kb-math--display").inner_text()
    visit.context.close()


def test_a_link_to_a_verdict_leaves_only_its_claims(visit: Visit) -> None:
    def standing() -> list[str]:
        page.wait_for_timeout(50)
        return [e.inner_text() for e in page.locator(".kb-claims__facts").all() if e.is_visible()]

    page = visit.go("claims/")
    assert len(standing()) == 5
    page.click('a[href="#unclear"]')
    assert standing() == ["T-3 · robust · Table 1"]
    page.click('a[href="#stale"]')
    assert standing() == ["T-1 · robust · Table 1", "T-3 · robust · Table 1"]
    page.click('a[href="#all"]')
    assert len(standing()) == 5 and visit.wrong == []


def test_runs_of_a_paper_are_seen(visit: Visit) -> None:
    page = visit.go("papers/ddpm/")
    picture = page.locator(".kb-picture img").first
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 48
    plot = page.locator(".kb-plot")
    assert plot.count() == 1 and plot.bounding_box()["width"] > 200
    strokes = plot.locator(".kb-plot__line").evaluate_all("lines => lines.map(l => getComputedStyle(l).stroke)")
    assert len(set(strokes)) == 3 and visit.wrong == []
