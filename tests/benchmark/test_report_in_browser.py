"""The page in headless Chromium, opened from disk."""

import pytest

from hashlearn.benchmark import Records
from hashlearn.benchmark.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(results, paper, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    return write_report(results.folder, folder, compare_with=[paper])[0].as_uri()


@pytest.fixture
def open_page(new_page, address):
    """Open the page in a window of a width, in light or dark."""

    def open_page(width=1200, scheme="light", **options):
        page = new_page(width, scheme, **options)
        page.goto(address)
        return page

    return open_page


def text_of(place):
    return place.inner_text().replace("\t", " ").strip()


def texts(page, selector):
    return [text_of(place) for place in page.locator(selector).all()]


def choose(page, select, value):
    page.locator(select).first.select_option(str(value))


def lines(page, place):
    return [
        line.get_attribute("data-name") for line in page.locator(f"{place} svg path.line").all()
    ]


def test_every_chart_has_its_lines(open_page):
    page = open_page()
    assert lines(page, "#curves") == ["LSH", "ITQ", "ITQ (n_iter=3)"]
    assert page.locator("#curves svg path.band").count() == 3
    methods = ["LSH", "ITQ", "ITQ (n_iter=3)"]
    assert lines(page, "[data-chart=shares]") == [*methods, "all alike"]
    assert lines(page, "[data-chart=precisions]") == methods
    assert lines(page, "[data-chart=average_precisions]") == methods
    assert lines(page, "#learning") == ["8 bits", "16 bits", "8 bits"]
    assert lines(page, "#distances") == ["relevant", "irrelevant"] * 3
    for line in page.locator("svg path.line").all():
        assert "NaN" not in line.get_attribute("d")
    for picture in page.locator("figure svg[role=img]").all():
        assert picture.get_attribute("aria-label")


@pytest.mark.parametrize("curve", ["precision", "by_rank", "by_radius", "pooled", "recall:100"])
def test_every_curve_can_be_chosen(open_page, curve):
    page = open_page()
    line = page.locator("#curves path.line").first
    before = line.get_attribute("d")
    choose(page, "#curves [name=curve]", curve)
    choose(page, "#curves [name=bits]", 16)
    assert lines(page, "#curves") == ["LSH", "ITQ"]
    assert line.get_attribute("d") != before
    assert page.locator("#curves [name=curve]").input_value() == curve


def test_results_judged_otherwise_have_their_own_curves(open_page):
    page = open_page()
    choose(page, "#curves [name=setting]", 1)
    options = texts(page, "#curves [name=curve] option")
    assert options[0] == "recall by number of items"
    assert lines(page, "#curves") == ["LSH", "ITQ"]


def test_the_legend_switches_a_line_on_and_off(open_page):
    page = open_page()
    button = page.locator("#curves .legend button").nth(1)
    assert (text_of(button), button.get_attribute("aria-pressed")) == ("ITQ", "true")
    button.click()
    assert lines(page, "#curves") == ["LSH", "ITQ (n_iter=3)"]
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert lines(page, "#curves") == ["LSH", "ITQ", "ITQ (n_iter=3)"]


def test_the_pointer_and_the_keys_show_values(open_page):
    page = open_page()
    picture = page.locator("#curves svg[role=img]").first
    tip = page.locator("#tip")
    assert not tip.is_visible()
    picture.hover()
    assert tip.is_visible()
    assert "ITQ (n_iter=3)" in text_of(tip)
    picture.focus()
    picture.press("Escape")
    assert not tip.is_visible()
    picture.press("ArrowRight")
    assert text_of(tip).startswith("retrieved items\n1\n")


def test_a_number_opens_its_panel_and_escape_closes_it(open_page, results):
    page = open_page()
    number = page.locator("table.paper .number[data-printed]").first
    number.click()
    panel = page.locator("#panel")
    assert panel.is_visible()
    assert text_of(page.locator("#panel-title")) == "LSH, 8 bits"
    rows = [row for row in results.rows() if (row["method"], row["n_bits"]) == ("lsh", 8)][:2]
    text = text_of(panel)
    assert "mean AP, mean over 2 seeds. digits (pixels)." in text
    assert "The paper’s number for LSH: .0123 (Table 1, digits)." in text
    for row in rows:
        written = f"{row['scores']['mean_average_precision']:.4f}".removeprefix("0")
        assert f"{row['seed']} {written} " in text
        assert (row["provenance"]["commit"] or "unknown") in text
    assert "among the query's 100 nearest by Euclidean distance" in text
    assert texts(page, "#panel .command")[0] == (
        "hashlearn bench --data digits --methods lsh --bits 8 --seeds 0,1 "
        "--protocol euclidean-100 --features pixels"
    )
    panel.locator("summary").first.click()
    assert '"n_neighbors": 100' in text_of(panel)
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    assert number.evaluate("number => number === document.activeElement")


def test_the_panel_opens_by_keys_and_closes_by_its_button(open_page):
    page = open_page()
    page.locator("table.own .number").first.press("Enter")
    assert page.locator("#panel").is_visible()
    page.locator("#panel .close").click()
    assert not page.locator("#panel").is_visible()


def test_the_chosen_metric_fills_the_table_and_marks_its_best(open_page):
    page = open_page()
    assert "mean AP" in text_of(page.locator("#own-0"))
    before = texts(page, "#own-0 .number")
    assert texts(page, "#own-0 td.best .number") == [
        max(before[0::2][:2] + before[4:], key=lambda text: text[:4]), before[3]
    ]  # fmt: skip
    choose(page, "#ours select.metric", "index_bytes")
    after = texts(page, "#own-0 .number")
    assert after != before
    assert set(after) == {"1.62 kB ± 0 B", "1.62 kB", "3.24 kB ± 0 B"}
    assert texts(page, "#own-0 caption") == ["index size"]
    page.locator("#own-0 .number").first.click()
    assert "index size" in text_of(page.locator("#panel"))


def test_a_table_is_sorted_by_its_heads(open_page):
    page = open_page()
    rows = "#own-1 tbody th"
    assert texts(page, rows) == ["LSH", "ITQ"]
    head = page.locator("#own-1 thead button").nth(2)
    head.click()
    assert texts(page, rows) == ["ITQ", "LSH"]
    head.click()
    assert texts(page, rows) == ["LSH", "ITQ"]
    heads = page.locator("#own-1 thead th").all()
    assert [h.get_attribute("aria-sort") for h in heads] == [None, None, "ascending"]


def pixels(canvas):
    script = (
        "source => { const c = source.cloneNode();"
        "const context = c.getContext('2d', {willReadFrequently: true});"
        "context.drawImage(source, 0, 0);"
        "const d = context.getImageData(0, 0, c.width, c.height).data;"
        "const seen = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255)"
        " seen.add([d[i], d[i + 1], d[i + 2]].join()); return [...seen] }"
    )
    return set(canvas.evaluate(script))


def test_maps_are_coloured_by_label_and_a_label_can_stand_alone(open_page):
    page = open_page()
    canvases = page.locator("#maps canvas").all()
    assert len(canvases) == 3
    label_two = "42,145,52"  # --m2 of the style
    assert all({label_two, "31,119,180"} <= pixels(canvas) for canvas in canvases)
    page.locator("#maps .legend button").nth(2).click()
    for canvas in canvases:
        assert label_two in pixels(canvas)
        assert "31,119,180" not in pixels(canvas)


def test_a_query_is_picked_and_its_answers_shown(open_page):
    page = open_page()
    assert len([a for a in page.locator("#found .answer").all() if a.is_visible()]) == 1
    page.locator("#found .pick button").nth(4).click()
    (shown,) = [a for a in page.locator("#found .answer").all() if a.is_visible()]
    assert text_of(shown.locator(".asked")) == "query: 4"
    shots = shown.locator(".shots li").all()
    assert len(shots) == 30
    assert {text_of(shot)[-1] for shot in shots} <= {"✓", "✗"}


@pytest.mark.parametrize("width", [375, 320, 768])
def test_nothing_overflows_on_a_narrow_screen(open_page, width):
    page = open_page(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    too_wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg') &&"
        " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert too_wide == []
    page.locator("table.own .number").first.click()
    box = page.locator("#panel").bounding_box()
    assert box["width"] <= width
    assert box["x"] >= 0


def brightness(page, selector, name):
    script = "(element, name) => getComputedStyle(element).getPropertyValue(name)"
    colour = page.locator(selector).first.evaluate(script, name)
    red, green, blue = (float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_is_dark_where_the_reader_likes_it_dark(open_page):
    page = open_page(scheme="dark")
    assert brightness(page, "body", "background-color") < 40
    assert brightness(page, "body", "color") > 200
    assert brightness(page, "#curves path.line", "stroke") > 100
    page = open_page(scheme="light")
    assert brightness(page, "body", "background-color") > 240
    assert brightness(page, "body", "color") < 60
    assert brightness(page, "#curves path.line", "stroke") < 130


def test_tables_and_answers_read_without_the_script(open_page):
    page = open_page(java_script_enabled=False)
    assert len([a for a in page.locator("#found .answer").all() if a.is_visible()]) == 10
    assert page.locator("table.own .number").first.is_visible()
    assert not page.locator("select.metric").first.is_visible()


def test_the_statistics_of_the_bits_open_their_panels(open_page):
    page = open_page()
    assert page.locator("#bits .number").count() >= 9 * 3
    name = texts(page, "#bits thead th")[2]
    page.locator("#bits .number").first.click()
    assert f"{name}, mean over 2 seeds." in text_of(page.locator("#panel"))


def test_more_methods_than_colours_are_told_apart(new_page, results, tmp_path):
    records, row = Records(tmp_path / "many"), results.rows()[0]
    for n in range(12):
        asked = {"given": {"n_iter": n}, "parameters": {"n_iter": n}, "id": f"{n:016x}"}
        records.append({**row, **asked}, {})
    page = new_page()
    page.goto(write_report(records.folder, tmp_path / "page")[0].as_uri())
    drawn = page.locator("#curves svg path.line").all()
    looks = {
        (line.get_attribute("style"), line.get_attribute("stroke-dasharray")) for line in drawn
    }
    assert len(drawn) == len(looks) == 12
