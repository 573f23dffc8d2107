"""Search and browse a collection in the page."""

import base64
import json
import re
from io import BytesIO
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

DIGITS = "/c/digits-itq-32"
KEY = "digits/00012"


def cards(page):
    return page.locator(".card")


def keys(page):
    return [link.get_attribute("data-key") for link in page.locator(".card > a").all()]


def asked_for(page):
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def slide(page, name, value):
    page.locator(f"#{name}").evaluate(
        "(slider, value) => { slider.value = value;"
        " slider.dispatchEvent(new Event('input', {bubbles: true})) }",
        value,
    )


def picture(value):
    """Write an image of one grey as a file."""
    file = BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(file, "PNG")
    return {"name": "grey.png", "mimeType": "image/png", "buffer": file.getvalue()}


def picture_of(asked, page, key):
    content = asked(page, f"digits-itq-32/content?key={quote(key, safe='')}").body()
    return {"name": "mine.png", "mimeType": "image/png", "buffer": content}


def test_a_click_on_an_item_finds_those_like_it(open_page, asked):
    page = open_page(DIGITS)
    expect(cards(page)).to_have_count(60)
    page.locator(f'[data-key="{KEY}"]').click()
    expect(cards(page)).to_have_count(20)
    assert asked_for(page) == {"key": KEY}
    hits = asked(page, "digits-itq-32/search", {"key": KEY}).json()["hits"]
    assert keys(page) == [hit["item"]["key"] for hit in hits]
    for card, hit in zip(cards(page).all(), hits, strict=True):
        n, bits = hit["distance"], hit["differing_bits"]
        written = card.locator(".distance").inner_text()
        assert re.fullmatch(f"{n} bits?", written)
        told = card.locator(".strip").get_attribute("aria-label")
        assert told == f"{written} differ{'s' * (n == 1)}: {', '.join(map(str, bits))}"
    right = sum(hit["item"]["label"] == "2" for hit in hits)
    expect(page.locator("#agreement")).to_have_text(f"Same label as the query: {right} of 20.")
    expect(page.locator("#query .title")).to_have_text(f"Query {KEY}")
    expect(page.locator(".status")).to_contain_text("20 nearest of 1,797")


def test_more_items_come_as_the_page_is_scrolled(open_page):
    page = open_page(DIGITS)
    expect(cards(page)).to_have_count(60)
    page.locator(".card").last.scroll_into_view_if_needed()
    page.mouse.wheel(0, 20_000)
    expect(cards(page).nth(100)).to_be_attached()
    found = keys(page)
    assert len(found) == len(set(found))


def test_an_uploaded_picture_finds_itself_and_survives_a_reload(open_page, asked):
    page = open_page(DIGITS)
    page.set_input_files("#file", picture_of(asked, page, KEY))
    expect(cards(page)).to_have_count(20)
    first = keys(page)
    assert first[0] == KEY
    expect(cards(page).first.locator(".distance")).to_have_text("0 bits")
    expect(page.locator("#query .title")).to_have_text("Query your picture")
    expect(page.locator("#query img")).to_have_attribute("src", re.compile("^data:image/png"))
    page.wait_for_url("**&code=*")
    page.reload()
    expect(cards(page)).to_have_count(20)
    assert keys(page) == first
    expect(page.locator("#query img")).to_be_visible()
    other = open_page(urlsplit(page.url)._replace(scheme="", netloc="").geturl())
    expect(cards(other)).to_have_count(20)  # where the picture is not, its code is
    assert keys(other) == first
    expect(other.locator("#rerank")).to_be_disabled()


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(open_page, asked, event):
    page = open_page(DIGITS)
    data = base64.b64encode(picture_of(asked, page, KEY)["buffer"]).decode()
    page.evaluate(
        """([name, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], "mine.png", {type: "image/png"}));
          if (name === "paste") {
            window.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer}));
            return;
          }
          for (const step of ["dragenter", "dragover"])
            document.body.dispatchEvent(
              new DragEvent(step, {dataTransfer: transfer, bubbles: true, cancelable: true}));
          if (document.getElementById("drop-here").hidden) throw new Error("no place to drop");
          document.body.dispatchEvent(
            new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        [event, data],
    )
    expect(cards(page)).to_have_count(20)
    assert keys(page)[0] == KEY
    expect(page.locator("#drop-here")).to_be_hidden()


def test_results_come_while_a_text_is_typed(open_page):
    page = open_page("/c/texts")
    searches = []
    page.on("request", lambda request: request.method == "POST" and searches.append(request))
    page.locator("#text").press_sequentially("green house far away", delay=20)
    expect(page.locator(".card .name").first).to_have_text("green house far away")
    expect(page.locator(".card .distance").first).to_have_text("0 bits")
    assert asked_for(page) == {"text": "green house far away"}
    assert len(searches) < 10  # not one a letter
    page.keyboard.press("Escape")
    expect(cards(page)).to_have_count(36)
    assert asked_for(page) == {}


def test_only_the_newest_question_is_answered(open_page):
    page = open_page("/c/texts")
    held = []

    def hold_the_first(route):
        if "red car" in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/search", hold_the_first)
    page.locator("#text").fill("red car here")
    page.wait_for_timeout(400)
    assert len(held) == 1
    failed = []
    page.on("requestfailed", lambda request: failed.append(request.failure))
    page.locator("#text").fill("blue coat in town")
    expect(page.locator(".card .name").first).to_have_text("blue coat in town")
    assert failed == ["net::ERR_ABORTED"]


def test_the_number_and_the_distance_of_results_follow_the_sliders(open_page, asked):
    page = open_page(f"{DIGITS}?key={quote(KEY)}")
    slide(page, "k", 7)
    expect(cards(page)).to_have_count(7)
    slide(page, "k", 50)
    expect(cards(page)).to_have_count(50)
    assert asked_for(page)["k"] == "50"
    slide(page, "radius", 3)
    near = asked(page, "digits-itq-32/search", {"key": KEY, "k": 50, "radius": 3}).json()["hits"]
    assert 0 < len(near) < 50
    expect(cards(page)).to_have_count(len(near))
    expect(page.locator("#radius-shown")).to_have_text("at most 3")
    slide(page, "radius", 0)
    expect(page.locator(".note .title")).to_have_text("Nothing so near")
    page.get_by_role("button", name="Allow any distance").click()
    expect(cards(page)).to_have_count(50)
    assert "radius" not in asked_for(page)


def test_reranking_orders_by_the_weighted_distance(open_page, asked):
    page = open_page(f"{DIGITS}?key={quote(KEY)}")
    before = keys(page)
    page.locator("#rerank").check()
    expect(cards(page).first.locator(".distance")).to_contain_text("·")
    body = {"key": KEY, "rerank": True}
    hits = asked(page, "digits-itq-32/search", body).json()["hits"]
    assert keys(page) == [hit["item"]["key"] for hit in hits] != before
    assert asked_for(page)["rerank"] == "1"


def test_filters_leave_what_fulfils_them(open_page, asked):
    page = open_page(f"{DIGITS}?key={quote(KEY)}")
    page.locator(".chip", has_text=re.compile("^3")).click()
    expect(page.locator(".card .label").first).to_have_text("3")
    assert set(page.locator(".card .label").all_inner_texts()) == {"3"}
    page.locator(".chip", has_text=re.compile("^8")).click()
    page.get_by_label("from").fill("33")
    expect(page).to_have_url(re.compile("%22min%22"))
    where = json.loads(asked_for(page)["where"])
    assert where == {"label": ["3", "8"], "ink": {"min": 33}}
    hits = asked(page, "digits-itq-32/search", {"key": KEY, "where": where}).json()["hits"]
    expect(cards(page)).to_have_count(len(hits))
    expect(cards(page).last.locator("a")).to_have_attribute("data-key", hits[-1]["item"]["key"])
    assert keys(page) == [hit["item"]["key"] for hit in hits]
    page.reload()
    expect(page.locator(".chip :checked")).to_have_count(2)
    expect(page.get_by_label("from")).to_have_value("33")


def test_a_filter_that_nothing_fulfils_says_so(open_page):
    page = open_page(DIGITS)
    page.get_by_label("Name contains").fill("no such name")
    expect(page.locator(".note .title")).to_have_text("Nothing matches")
    page.locator(".note").get_by_role("button", name="Clear the filters").click()
    expect(cards(page)).to_have_count(60)
    expect(page.get_by_label("Name contains")).to_have_value("")


def test_back_and_forward_lead_through_what_was_seen(open_page):
    page = open_page(DIGITS)
    cards(page).nth(3).locator("a").click()
    expect(page.locator("#query .title")).to_have_text("Query digits/00003")
    expect(cards(page)).to_have_count(20)
    second = keys(page)[0]
    cards(page).first.locator("a").click()
    expect(page.locator("#query .title")).to_have_text(f"Query {second}")
    page.go_back()
    expect(page.locator("#query .title")).to_have_text("Query digits/00003")
    page.go_back()
    expect(page.locator("#query")).to_be_hidden()
    expect(cards(page)).to_have_count(60)
    page.go_forward()
    expect(page.locator("#query .title")).to_have_text("Query digits/00003")


def test_items_without_pictures_show_their_codes(open_page):
    page = open_page("/c/points")
    cards(page).nth(5).locator("a").click()
    expect(page.locator("#query .title")).to_have_text("Query p/5")
    expect(page.locator(".card .pattern")).to_have_count(20)


def test_the_first_page_leads_to_a_collection(open_page):
    page = open_page("/")
    page.get_by_role("link", name="texts").click()
    expect(cards(page)).to_have_count(36)
    page.locator("#collection").select_option("points")
    page.wait_for_url("**/c/points")
