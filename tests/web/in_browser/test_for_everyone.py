"""The page for who uses keys, a phone, dark colours or large letters, and when things go wrong."""

import re
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

DIGITS = "/c/digits-itq-32"
KEY = "digits/00012"
ASKED = f"{DIGITS}?key={quote(KEY)}"
WHERE = quote('{"label":["3"],"ink":{"min":20}}')
VIEWS = {
    "collections": "/",
    "no such collection": "/c/none",
    "not alike": "/c/points?with=texts",
    "sign in": "/login",
    "browse": DIGITS,
    "results": ASKED,
    "filtered": f"{ASKED}&where={WHERE}",
    "nothing": f"{ASKED}&radius=0",
    "no such item": f"{DIGITS}?key=none",
    "bucket": f"{ASKED}&view=bucket",
    "map": f"{ASKED}&view=map",
    "compared": f"{ASKED}&with=digits-lsh-32",
    "two maps": f"{ASKED}&with=digits-lsh-32&view=map",
    "texts": "/c/texts?text=green+house",
    "two buckets": f"{ASKED}&with=digits-lsh-32&view=bucket",
    "vectors": "/c/points?key=p%2F3",
}
every_view = pytest.mark.parametrize("path", VIEWS.values(), ids=VIEWS.keys())


def forgive_answers(page):
    """Forget that the browser logged answers of 4xx, which some views are about."""
    page.logged[:] = [text for text in page.logged if "Failed to load resource" not in text]


@every_view
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_breaks_a_rule_of_accessibility(open_page, path, scheme):
    page = open_page(path, scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    forgive_answers(page)


@every_view
def test_nothing_overflows_on_a_phone(open_page, path):
    page = open_page(path, width=360)
    for details in page.locator("details").all():
        details.evaluate("details => { details.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    too_wide = page.evaluate(
        "[...document.querySelectorAll('main *, header *')].filter("
        "e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert too_wide == []
    forgive_answers(page)


@pytest.mark.parametrize("path", [ASKED, f"{ASKED}&with=digits-lsh-32", f"{ASKED}&view=map"])
def test_nothing_overflows_with_letters_of_twice_the_size(open_page, path):
    page = open_page(path, width=900)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


def test_settings_are_folded_on_a_phone(open_page):
    page = open_page(ASKED, width=360)
    expect(page.locator("#k")).to_be_hidden()
    page.get_by_text("Settings and filters").click()
    expect(page.locator("#k")).to_be_visible()


def background(page):
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(float(part) for part in re.findall(r"\d+", colour)[:3])


def test_colours_are_those_of_the_system_until_the_switch_is_used(open_page):
    page = open_page(DIGITS, scheme="dark")
    assert background(page) < 100
    switch = page.get_by_role("button", name="Dark colours")
    expect(switch).to_have_attribute("aria-pressed", "true")
    switch.click()
    assert background(page) > 700
    page.reload()
    assert background(page) > 700
    expect(switch).to_have_attribute("aria-pressed", "false")
    page = open_page(DIGITS, scheme="light")
    assert background(page) > 700


def test_nothing_moves_where_that_is_not_wanted(open_page):
    page = open_page(DIGITS, reduced_motion="reduce")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => {const s = getComputedStyle(e);"
        " return s.animationName !== 'none' || parseFloat(s.transitionDuration) > 0}).length"
    )
    assert moving == 0


def test_everything_is_done_by_keys_alone(open_page):
    page = open_page(DIGITS)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#file")).to_be_focused()
    page.locator(".card > a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".card > a").nth(2)).to_be_focused()
    page.keyboard.press("ArrowDown")
    below = page.locator(".card > a:focus")
    assert below.bounding_box()["y"] > page.locator(".card > a").nth(2).bounding_box()["y"] + 50
    page.keyboard.press("ArrowUp")
    expect(page.locator(".card > a").nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#query .title")).to_have_text("Query digits/00002")
    page.get_by_role("link", name="Map").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".plot")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".card")).to_have_count(20)
    page.keyboard.press("Escape")
    expect(page.locator("#query")).to_be_hidden()


def test_the_slash_leads_to_the_text(open_page):
    page = open_page("/c/texts")
    page.keyboard.press("/")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.type("red/car")
    expect(page.locator("#text")).to_have_value("red/car")


def test_a_damaged_picture_is_refused_in_words(open_page):
    page = open_page(DIGITS)
    damaged = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n\x1a\n and no more"}
    page.set_input_files("#file", damaged)
    note = page.locator(".note.error")
    expect(note.locator(".title")).to_have_text("This cannot be searched by")
    note.get_by_role("button", name="Clear the query").click()
    expect(page.locator(".card")).to_have_count(60)
    forgive_answers(page)


def test_a_file_that_is_too_large_is_refused_in_words(open_page):
    page = open_page(DIGITS)
    large = {"name": "a.png", "mimeType": "image/png", "buffer": bytes(14 << 20)}
    page.set_input_files("#file", large)
    expect(page.locator(".note.error .title")).to_have_text("Too large", timeout=20_000)
    forgive_answers(page)


def test_a_file_that_is_no_image_is_refused_in_words(open_page):
    page = open_page(DIGITS)
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    expect(page.locator(".note.error .title")).to_have_text("Not an image")


def test_a_server_that_is_gone_is_waited_for(open_page, own_site):
    site = own_site()
    page = open_page(DIGITS, site=site)
    page.context.set_offline(True)
    page.locator(".card > a").first.click()
    expect(page.locator(".note.error .title")).to_have_text("The server does not answer")
    page.context.set_offline(False)
    expect(page.locator(".card")).to_have_count(20)  # by itself
    site.stop()
    page.locator(".card > a").first.click()
    expect(page.locator(".note.error .title")).to_have_text("The server does not answer")
    page.close()  # it would go on asking, and each answer that does not come is logged
    page.logged.clear()


def test_an_address_that_is_wrong_shows_what_can_be_shown(open_page):
    page = open_page(f"{DIGITS}?k=none&radius=-3&where=%7B&view=none&rerank=2")
    expect(page.locator(".card")).to_have_count(60)


def test_texts_of_items_are_shown_and_never_run(open_page, own_site):
    site = own_site()
    page = open_page("/c/texts", site=site)
    hostile = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
    path = f"{site.address}/api/v1/collections/texts/items"
    item = {"key": hostile, "text": f"{hostile} house", "label": hostile, "caption": hostile}
    assert page.request.post(path, data={"items": [item]}).status == 201
    try:
        page.reload()
        page.locator("#text").fill("house")
        expect(page.locator(".label", has_text="onerror").first).to_be_visible()
        page.get_by_role("link", name="Map").click()
        expect(page.locator(".plot")).to_be_visible()
        assert page.title() == "texts · hashlearn"
    finally:
        item = f"{site.address}/api/v1/collections/texts/item"
        assert page.request.delete(item, params={"key": hostile}).status == 204


def test_who_knows_the_key_signs_in(open_page, own_site):
    site = own_site(api_key="a key")
    page = open_page("/login", site=site)
    page.goto(f"{site.address}{ASKED}")
    page.get_by_label("Key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("That is not the key.")
    page.get_by_label("Key").fill("a key")
    page.keyboard.press("Enter")
    expect(page.locator("#query .title")).to_have_text(f"Query {KEY}")
    expect(page.locator(".card")).to_have_count(20)
    forgive_answers(page)
