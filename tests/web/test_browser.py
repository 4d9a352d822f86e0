"""The pages in a real Chromium: nothing refused by the policy, nothing in the console, all by keyboard."""

import csv
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web.company import EMAIL, PASSWORD, SPECIAL

pytestmark = [pytest.mark.browser, pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)]

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


PATHS = (
    *("/today?whose=all", "/accounts", "/accounts/1", "/expansion", "/expansion/1", "/retention", "/model", "/feeds"),
    *("/settings/webhooks", "/settings/account", "/settings/users", "/settings/users/1", "/settings/tokens"),
    *("/settings/audit", "/settings/health-weights"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page whose console must stay empty: the policy's refusals are reported there too."""
    said: list[str] = []
    context = browser.new_context(base_url=address, locale="en-US", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield page
    context.close()
    assert said == []


@pytest.fixture
def at_work(page: Page) -> Page:
    page.goto("/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Today", level=1)).to_be_visible()
    page.goto("/accounts")
    return page


def shares(page: Page) -> list[float]:
    return [float(text.rstrip("%")) for text in page.locator('td[data-label="Churn, 12 mo"]').all_inner_texts()]


def test_logging_in_reading_and_logging_out_needs_no_mouse(page: Page) -> None:
    page.goto("/accounts/1")
    page.keyboard.type(EMAIL)  # the first field has the focus
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=SPECIAL[0])).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.locator("details.user-menu summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(page.locator("details.user-menu summary")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Log out").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_the_list_filters_and_searches_without_loading_the_page_again(at_work: Page) -> None:
    at_work.evaluate("window.stays = true")
    at_work.get_by_label("Segment").select_option("Small")
    expect(at_work.get_by_role("status")).to_contain_text(re.compile(r"^2\d accounts"))
    at_work.get_by_label("Search").press_sequentially("bright")
    expect(at_work.get_by_role("status")).to_contain_text("0 accounts")
    at_work.get_by_label("Segment").select_option("")
    expect(at_work.get_by_role("status")).to_contain_text("1 account")
    expect(at_work.get_by_role("link", name="Brightwater Logistics")).to_be_visible()
    assert "search=bright" in at_work.url
    assert at_work.evaluate("window.stays")
    at_work.go_back()
    expect(at_work.get_by_role("status")).to_contain_text("0 accounts")


def test_a_heading_sorts_keeps_the_focus_and_says_which_way(at_work: Page) -> None:
    assert shares(at_work) == sorted(shares(at_work), reverse=True)
    heading = at_work.get_by_role("link", name="Churn in 12 months")
    heading.focus()
    at_work.keyboard.press("Enter")
    column = at_work.locator("th", has=at_work.get_by_role("link", name="Churn in 12 months"))
    expect(column).to_have_attribute("aria-sort", "ascending")
    expect(heading).to_be_focused()
    assert shares(at_work) == sorted(shares(at_work))


def test_the_next_page_and_the_first_one_again(at_work: Page) -> None:
    first = at_work.locator("td.name a").all_inner_texts()
    at_work.get_by_role("link", name="Next page").click()
    expect(at_work.get_by_role("link", name="First page")).to_be_visible()
    assert not set(first) & set(at_work.locator("td.name a").all_inner_texts())
    at_work.get_by_role("link", name="First page").click()
    expect(at_work.get_by_role("link", name="Next page")).to_be_visible()
    assert at_work.locator("td.name a").all_inner_texts() == first


def test_the_csv_is_the_filtered_set(at_work: Page) -> None:
    at_work.get_by_label("Health", exact=True).select_option("at_risk")
    expect(at_work.locator("td.health .pill-healthy")).to_have_count(0)
    expect(at_work).to_have_url(re.compile("band=at_risk"))
    with at_work.expect_download() as download:
        at_work.get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text("utf-8-sig").splitlines()))
    assert download.value.suggested_filename == "accounts-2026-09-30.csv"
    assert {row["band"] for row in rows} == {"at_risk"}
    assert len(rows) == at_work.locator("td.name").count()


def test_charts_are_drawn_and_their_figures_can_be_read(at_work: Page) -> None:
    at_work.goto("/accounts/1")
    expect(at_work.locator(".chart-area canvas")).to_have_count(3)
    retention = at_work.get_by_role("region", name="Retention ahead")
    expect(retention.get_by_role("img")).to_have_accessible_name(
        re.compile(r"Still a customer with a probability of \d+%")
    )
    retention.get_by_text("The figures behind the chart").click()
    expect(retention.locator("[data-figures] tbody tr")).to_have_count(61)
    retention.locator(".u-over").hover()
    expect(retention.locator(".reading")).to_contain_text("months ahead")
    drawn = at_work.evaluate(
        """() => [...document.querySelectorAll('.chart-area canvas')].map((canvas) => {
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            return data.filter((value, index) => index % 4 === 3 && value > 0).length;
        })"""
    )
    assert all(pixels > 2_000 for pixels in drawn)


def test_usage_by_day_and_the_timeline_change_in_place(at_work: Page) -> None:
    at_work.goto("/accounts/1")
    at_work.evaluate("window.stays = true")
    at_work.get_by_role("link", name="By day").click()
    expect(at_work.get_by_role("link", name="By day")).to_have_attribute("aria-current", "true")
    expect(at_work.locator(".chart-area canvas")).to_have_count(3)
    at_work.get_by_role("link", name="Tickets").click()
    expect(at_work.locator(".entry")).to_have_count(1)
    assert at_work.evaluate("window.stays")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_no_page_is_wider_than_the_screen(browser: Browser, address: str, width: int, language: str) -> None:
    context = browser.new_context(base_url=address, locale=language, viewport={"width": width, "height": 844})
    page = context.new_page()
    for path in ("/login", *PATHS, "/accounts/3", "/no-such-page"):
        page.goto(path)
        assert page.evaluate("document.documentElement.lang") == language
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        if path == "/login":
            page.locator("#email").fill(EMAIL)
            page.locator("#password").fill(PASSWORD)
            page.locator("#password").press("Enter")
            page.wait_for_url("**/today")
    context.close()


def test_on_a_small_screen_no_word_of_a_table_is_broken(at_work: Page) -> None:
    at_work.set_viewport_size({"width": 390, "height": 844})
    for path in PATHS:
        at_work.goto(path)
        assert at_work.evaluate(BROKEN) == [], path


def test_language_and_theme_are_chosen_once_and_stay(at_work: Page) -> None:
    at_work.locator("details.user-menu summary").click()
    at_work.get_by_role("button", name="日本語").click()
    expect(at_work.get_by_role("heading", name="顧客", level=1)).to_be_visible()
    at_work.locator("details.user-menu summary").click()
    at_work.get_by_role("button", name="ダーク").click()
    expect(at_work.locator("html")).to_have_attribute("data-theme", "dark")
    assert at_work.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 21)"
    at_work.goto("/accounts/1")
    expect(at_work.locator("html")).to_have_attribute("data-theme", "dark")
    expect(at_work.get_by_role("heading", name="ヘルス")).to_be_visible()


def test_everything_can_be_done_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, locale="en-US", java_script_enabled=False)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Accounts", exact=True).click()
    page.get_by_label("Search").fill("bright")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Brightwater Logistics").click()
    assert page.get_by_role("heading", name="Brightwater Logistics").is_visible()
    page.get_by_text("The figures behind the chart").first.click()
    assert page.locator("[data-figures]").first.is_visible()
    context.close()


def test_on_a_small_screen_the_pages_are_behind_one_button_that_says_where_one_is(at_work: Page) -> None:
    at_work.set_viewport_size({"width": 390, "height": 844})
    at_work.goto("/expansion")
    button = at_work.locator("details.nav-menu summary")
    expect(button).to_have_text("Expansion")
    expect(at_work.locator("nav.nav")).to_be_hidden()
    button.focus()
    at_work.keyboard.press("Enter")
    expect(at_work.get_by_role("link", name="Expansion", exact=True)).to_have_attribute("aria-current", "page")
    at_work.keyboard.press("Escape")
    expect(button).to_be_focused()
    at_work.keyboard.press("Enter")
    at_work.get_by_role("link", name="Is the model right?").click()
    expect(at_work.get_by_role("heading", name="Is the model right?", level=1)).to_be_visible()


def test_the_forecast_and_what_came_are_drawn_and_said(at_work: Page) -> None:
    at_work.goto("/model")
    picture = at_work.get_by_role("img", name=re.compile("Forecast against what happened, for ten groups"))
    expect(picture).to_be_visible()
    expect(picture.locator("circle")).to_have_count(10)
    expect(at_work.get_by_role("region", name="Forecast and what happened").get_by_role("row")).to_have_count(11)


def test_opportunities_are_filtered_in_place_and_one_is_opened_by_keyboard(at_work: Page) -> None:
    at_work.goto("/expansion")
    at_work.evaluate("window.stays = true")
    at_work.get_by_label("Kind").select_option("upsell")
    expect(at_work.get_by_role("status")).to_contain_text("opportunit")
    expect(at_work).to_have_url(re.compile("motion=upsell"))
    expect(at_work.locator("td.what", has_text="Cross-sell")).to_have_count(0)
    assert at_work.evaluate("window.stays")
    at_work.locator("td.name a").first.focus()
    at_work.keyboard.press("Enter")
    expect(at_work.get_by_role("button", name="Accept")).to_be_visible()
    expect(at_work.locator(".chart-area canvas")).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_text_of_the_new_pages_is_pale_on_its_ground(browser: Browser, address: str, theme: str) -> None:
    """Of every text its colour against the first ground behind it that is not clear."""
    context = browser.new_context(base_url=address, locale="en-US", color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto("/login")
    page.locator("#email").fill(EMAIL)
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    page.wait_for_url("**/today")
    for path in PATHS:
        page.goto(path)
        assert page.evaluate(PALE) == [], path
    context.close()


PALE = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = (rgb) => [0.2126, 0.7152, 0.0722].reduce((sum, part, i) => sum + part * linear(rgb[i] / 255), 0);
    const ground = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour.length === 3 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const node of document.querySelectorAll('main *')) {
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (!own || !node.checkVisibility() || node.closest('canvas, .visually-hidden')) continue;
        const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) found.push(node.className + ': ' + node.textContent.trim().slice(0, 40));
    }
    return found;
}"""
BROKEN = """() => {
    const found = [];
    const texts = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
        if (!node.parentElement.closest('td, th') || !node.parentElement.checkVisibility()) continue;
        for (const word of node.data.matchAll(/\\p{L}+/gu)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((part) => part.top)).size > 1) found.push(word[0]);
        }
    }
    return found;
}"""
NAMELESS = """() => [...document.querySelectorAll(
    'a, button, input:not([type=hidden]), select, summary, [role=img], nav')]
    .filter((node) => !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length))
    .map((node) => node.outerHTML)"""
LEVELS = "() => [...document.querySelectorAll('h1, h2, h3')].map((node) => Number(node.tagName[1]))"
IDS = "() => [...document.querySelectorAll('[id]')].map((node) => node.id)"


def test_every_picture_field_and_control_has_a_name(at_work: Page) -> None:
    for path in PATHS:
        at_work.goto(path)
        assert at_work.evaluate(NAMELESS) == [], path
        levels, ids = at_work.evaluate(LEVELS), at_work.evaluate(IDS)
        assert levels[0] == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
        assert len(ids) == len(set(ids))
