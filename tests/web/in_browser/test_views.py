"""Compare two hashers, and look at buckets and maps, in the page."""

import re
from itertools import pairwise
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

DIGITS = "/c/digits-itq-32"
KEY = "digits/00012"
ASKED = f"{DIGITS}?key={quote(KEY)}"
NAMES = ["digits-itq-32", "digits-lsh-32"]


def keys_in(column):
    return [link.get_attribute("data-key") for link in column.locator(".card > a").all()]


def columns(page):
    return page.locator(".column").all()


def query_in(page):
    return parse_qs(urlsplit(page.url).query)


def agreement(hits):
    found = [{hit["item"]["key"] for hit in one} for one in hits]
    n = len(found[0] & found[1])
    right = [sum(hit["item"]["label"] == "2" for hit in one) for one in hits]
    said = ", ".join(f"{name}: {n} of 20" for name, n in zip(NAMES, right, strict=True))
    return (
        f"Both found the same {n} of 20 items ({100 * n / 20:.0f}%), marked ●●. "
        f"Same label as the query: {said}."
    )


def test_two_hashers_answer_the_same_query_side_by_side(open_page, asked):
    page = open_page(ASKED)
    page.locator("#with").select_option("digits-lsh-32")
    page.wait_for_url("**with=digits-lsh-32")
    hits = [asked(page, f"{name}/search", {"key": KEY}).json()["hits"] for name in NAMES]
    expect(page.locator("#agreement")).to_have_text(agreement(hits))
    for column, one in zip(columns(page), hits, strict=True):
        assert keys_in(column) == [hit["item"]["key"] for hit in one]
    both = {hit["item"]["key"] for hit in hits[0]} & {hit["item"]["key"] for hit in hits[1]}
    for column in columns(page):
        marked = column.locator(".card.both > a").all()
        assert {link.get_attribute("data-key") for link in marked} == both
        expect(column.locator(".card.both .below").first).to_contain_text("found by both")
    page.locator(".card > a").nth(2).click()
    expect(page.locator("#query .title")).to_have_text(f"Query {hits[0][2]['item']['key']}")
    assert query_in(page)["with"] == ["digits-lsh-32"]
    page.locator("#with").select_option("nothing")
    expect(page.locator(".column")).to_have_count(1)


def test_a_picture_is_compared_too(open_page, asked):
    page = open_page(f"{DIGITS}?with=digits-lsh-32")
    content = asked(page, f"digits-itq-32/content?key={quote(KEY, safe='')}").body()
    picture = {"name": "mine.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("#file", picture)
    expect(page.locator("#agreement")).to_contain_text("Both found the same")
    for column in columns(page):
        assert keys_in(column)[0] == KEY


def test_an_item_that_only_one_has_is_said_to_be_missing(open_page, own_site, asked):
    site = own_site()
    page = open_page(ASKED, site=site)
    path = f"{site.address}/api/v1/collections/digits-lsh-32/item"
    assert page.request.delete(path, params={"key": "digits/00777"}).status == 204
    try:
        page.goto(f"{site.address}{DIGITS}?key=digits%2F00777&with=digits-lsh-32")
        first, second = columns(page)
        expect(first.locator(".card")).to_have_count(20)
        expect(second.locator(".note.error")).to_contain_text("digits/00777")
        expect(page.locator("#agreement")).to_be_hidden()
    finally:
        content = asked(page, "digits-itq-32/item?key=digits%2F00777").json()
        png = asked(page, "digits-itq-32/content?key=digits%2F00777").body()
        give_back(page, site, content, png)
    page.logged.clear()  # the browser logs every answer of 404


def give_back(page, site, item, png):
    """Add an item again, for the tests that come after."""
    import base64

    again = {name: item[name] for name in ("key", "label", "metadata")}
    again["image"] = base64.b64encode(png).decode()
    path = f"{site.address}/api/v1/collections/digits-lsh-32/items"
    assert page.request.post(path, data={"items": [again]}).status == 201


def test_a_bucket_holds_the_items_with_its_code(open_page, asked):
    page = open_page("/c/points?key=p%2F3&view=bucket")
    code = asked(page, "points/item?key=p%2F3").json()["code"]
    items = asked(page, "points/items").json()["items"]
    own = [item["key"] for item in items if item["code"] == code]
    assert keys_in(page.locator(".column")) == own
    near = asked(page, "points/search", {"code": code, "radius": 2, "k": 1000}).json()["hits"]
    buckets = {}
    for hit in near:
        if hit["distance"]:
            buckets.setdefault(hit["item"]["code"], []).append(hit["differing_bits"])
    shown = {
        line.locator("a").get_attribute("data-code"): line
        for line in page.locator(".buckets li").all()
    }
    assert shown.keys() == buckets.keys()
    assert len(buckets) > 0
    for other, line in shown.items():
        n = len(buckets[other])
        expect(line.locator(".n")).to_have_text(f"{n} item{'s' * (n != 1)}")
        expect(line.locator(".differs")).to_contain_text(", ".join(map(str, buckets[other][0])))
    expect(page.locator(".status")).to_contain_text(f"{len(buckets)} bucket")


def test_a_neighbouring_bucket_can_be_entered_and_left(open_page):
    page = open_page("/c/points?key=p%2F3&view=bucket")
    neighbour = page.locator(".buckets a").first
    code = neighbour.get_attribute("data-code")
    neighbour.click()
    expect(page.locator(".content > .code code")).to_have_text(code)
    assert query_in(page) == {"code": [code], "view": ["bucket"]}
    page.locator(".card > a").first.click()
    expect(page.locator(".views [aria-current]")).to_have_text("Results")
    page.go_back()
    page.go_back()
    expect(page.locator("#query .title")).to_have_text("Query p/3")


def test_a_bucket_needs_a_query(open_page):
    page = open_page("/c/points?view=bucket")
    expect(page.locator(".note .title")).to_have_text("Which bucket?")


def described(page):
    return page.locator(".plot [role=status]")


def test_the_map_marks_the_query_and_what_it_finds(open_page, asked):
    page = open_page(f"{ASKED}&view=map")
    expect(page.locator(".status")).to_have_text(re.compile("^All 1,797 items"))
    colours = page.locator(".plot canvas").evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const n = {}; for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) {"
        "const k = [d[i], d[i + 1], d[i + 2]].join(); n[k] = (n[k] ?? 0) + 1 } return n }"
    )
    assert colours["179,71,0"] > 50  # the star
    assert colours["27,31,36"] > 100  # rings around what is found
    page.locator(".in-words summary").click()
    hits = asked(page, "digits-itq-32/search", {"key": KEY}).json()["hits"]
    rows = page.locator(".in-words table").first.locator("tbody tr")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text(hits[0]["item"]["key"])
    rows.first.locator("a").click()
    expect(page.locator("#query .title")).to_have_text(f"Query {hits[0]['item']['key']}")


def test_the_pointer_reaches_points_of_the_map(open_page, asked):
    page = open_page(f"{DIGITS}?view=map")
    drawn = asked(page, "digits-itq-32/map").json()
    lowest = min(range(len(drawn["keys"])), key=lambda i: drawn["y"][i])
    box = page.locator(".plot").bounding_box()
    low, high = min(drawn["y"]), max(drawn["y"])
    left, right = min(drawn["x"]), max(drawn["x"])
    scale = min((box["width"] - 54) / (right - left), (box["height"] - 54) / (high - low))
    x = box["width"] / 2 + scale * (drawn["x"][lowest] - (left + right) / 2)
    page.locator(".plot").hover(
        position={"x": x, "y": box["height"] / 2 + scale * (high - low) / 2}
    )
    key = drawn["keys"][lowest]
    expect(page.locator(".tip")).to_contain_text(key)
    expect(page.locator(".ring")).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#query .title")).to_have_text(f"Query {key}")


def test_the_keys_walk_over_the_map(open_page):
    page = open_page(f"{ASKED}&view=map")
    plot = page.locator(".plot")
    plot.focus()
    page.keyboard.press("ArrowRight")
    expect(described(page)).to_have_text(f"{KEY}, query")
    seen = [described(page).inner_text()]
    for name in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(name)
        seen.append(described(page).inner_text())
    assert all(a != b for a, b in pairwise(seen))
    expect(page.locator(".ring")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#query .title")).to_have_text(f"Query {seen[-1].partition(',')[0]}")


def test_the_keys_reach_every_point_also_where_several_are_in_one_place(open_page):
    page = open_page("/c/points?view=map")
    page.locator(".plot").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("PageDown")
        reached.append(described(page).inner_text())
    assert sorted(reached) == sorted(f"p/{i}" for i in range(30))
    page.keyboard.press("PageUp")
    expect(described(page)).to_have_text(reached[-2])


def test_a_label_of_the_map_can_stand_alone(open_page):
    page = open_page(f"{DIGITS}?view=map")
    count = (
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 0; i < d.length; i += 4)"
        " if (d[i] === 228 && d[i + 1] === 232 && d[i + 2] === 236) n++; return n }"
    )
    canvas = page.locator(".plot canvas")
    assert canvas.evaluate(count) == 0
    button = page.locator(".legend button").nth(3)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert canvas.evaluate(count) > 1000  # the others are faint
    button.click()
    assert canvas.evaluate(count) == 0


def test_two_maps_stand_side_by_side(open_page):
    page = open_page(f"{ASKED}&view=map&with=digits-lsh-32")
    expect(page.locator(".plot")).to_have_count(2)
