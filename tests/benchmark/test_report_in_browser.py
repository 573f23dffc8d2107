"""The page in headless Chromium, opened from disk."""

import shutil

import pytest

from hashlearn.benchmark import Records
from hashlearn.benchmark.report import write_report

webdriver = pytest.importorskip("selenium.webdriver")
By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None, reason="Chromium and its driver are not installed"
    ),
]
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip


@pytest.fixture(scope="module")
def address(results, paper, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "out"
    return write_report(results.folder, folder, compare_with=[paper])[0].as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Start Chromium once, with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=DRIVER)
    )
    yield driver
    driver.quit()


@pytest.fixture
def open_page(browser, address):
    """Open the page in a window of a width, in light or dark; check that nothing is logged."""

    def open_page(width=1200, scheme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(address)
        return browser

    yield open_page
    assert browser.get_log("browser") == []


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def all_of(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def texts(browser, selector):
    return [element.text for element in all_of(browser, selector)]


def click(browser, element):
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
    )
    element.click()


def choose(browser, select, value):
    browser.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        one(browser, select),
        str(value),
    )


def lines(browser, place):
    return [line.get_attribute("data-name") for line in all_of(browser, f"{place} svg path.line")]


def test_every_chart_has_its_lines(open_page):
    browser = open_page()
    assert lines(browser, "#curves") == ["LSH", "ITQ", "ITQ (n_iter=3)"]
    assert len(all_of(browser, "#curves svg path.band")) == 3
    methods = ["LSH", "ITQ", "ITQ (n_iter=3)"]
    assert lines(browser, "[data-chart=shares]") == [*methods, "all alike"]
    assert lines(browser, "[data-chart=precisions]") == methods
    assert lines(browser, "[data-chart=average_precisions]") == methods
    assert lines(browser, "#learning") == ["8 bits", "16 bits", "8 bits"]
    assert lines(browser, "#distances") == ["relevant", "irrelevant"] * 3
    for line in all_of(browser, "svg path.line"):
        assert "NaN" not in line.get_attribute("d")
    for picture in all_of(browser, "figure svg[role=img]"):
        assert picture.get_attribute("aria-label")


@pytest.mark.parametrize("curve", ["precision", "by_rank", "by_radius", "pooled", "recall:100"])
def test_every_curve_can_be_chosen(open_page, curve):
    browser = open_page()
    before = one(browser, "#curves path.line").get_attribute("d")
    choose(browser, "#curves [name=curve]", curve)
    choose(browser, "#curves [name=bits]", 16)
    assert lines(browser, "#curves") == ["LSH", "ITQ"]
    assert one(browser, "#curves path.line").get_attribute("d") != before
    assert one(browser, "#curves [name=curve]").get_attribute("value") == curve


def test_results_judged_otherwise_have_their_own_curves(open_page):
    browser = open_page()
    choose(browser, "#curves [name=setting]", 1)
    options = texts(browser, "#curves [name=curve] option")
    assert options[0] == "recall by number of items"
    assert lines(browser, "#curves") == ["LSH", "ITQ"]


def test_the_legend_switches_a_line_on_and_off(open_page):
    browser = open_page()
    button = all_of(browser, "#curves .legend button")[1]
    assert (button.text, button.get_attribute("aria-pressed")) == ("ITQ", "true")
    click(browser, button)
    assert lines(browser, "#curves") == ["LSH", "ITQ (n_iter=3)"]
    assert button.get_attribute("aria-pressed") == "false"
    click(browser, button)
    assert lines(browser, "#curves") == ["LSH", "ITQ", "ITQ (n_iter=3)"]


def test_the_pointer_and_the_keys_show_values(open_page):
    browser = open_page()
    picture = one(browser, "#curves svg[role=img]")
    assert not one(browser, "#tip").is_displayed()
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", picture
    )
    webdriver.ActionChains(browser).move_to_element(picture).perform()
    assert one(browser, "#tip").is_displayed()
    assert "ITQ (n_iter=3)" in one(browser, "#tip").text
    browser.execute_script("arguments[0].focus()", picture)
    picture.send_keys(Keys.ESCAPE)
    assert not one(browser, "#tip").is_displayed()
    picture.send_keys(Keys.ARROW_RIGHT)
    assert one(browser, "#tip").text.startswith("retrieved items\n1\n")


def test_a_number_opens_its_panel_and_escape_closes_it(open_page, results):
    browser = open_page()
    number = one(browser, "table.paper .number[data-printed]")
    click(browser, number)
    panel = one(browser, "#panel")
    assert panel.is_displayed()
    assert one(browser, "#panel-title").text == "LSH, 8 bits"
    rows = [row for row in results.rows() if (row["method"], row["n_bits"]) == ("lsh", 8)][:2]
    text = panel.text
    assert "mean AP, mean over 2 seeds. digits (pixels)." in text
    assert "The paper’s number for LSH: .0123 (Table 1, digits)." in text
    for row in rows:
        written = f"{row['scores']['mean_average_precision']:.4f}".removeprefix("0")
        assert f"{row['seed']} {written} " in text
        assert (row["provenance"]["commit"] or "unknown") in text
    assert "among the query's 100 nearest by Euclidean distance" in text
    assert one(browser, "#panel .command").text == (
        "hashlearn bench --data digits --methods lsh --bits 8 --seeds 0,1 "
        "--protocol euclidean-100 --features pixels"
    )
    click(browser, all_of(browser, "#panel summary")[0])
    assert '"n_neighbors": 100' in panel.text
    webdriver.ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not panel.is_displayed()
    assert browser.switch_to.active_element == number


def test_the_panel_opens_by_keys_and_closes_by_its_button(open_page):
    browser = open_page()
    number = one(browser, "table.own .number")
    browser.execute_script("arguments[0].focus()", number)
    number.send_keys(Keys.ENTER)
    assert one(browser, "#panel").is_displayed()
    one(browser, "#panel .close").click()
    assert not one(browser, "#panel").is_displayed()


def test_the_chosen_metric_fills_the_table_and_marks_its_best(open_page):
    browser = open_page()
    table = one(browser, "#own-0")
    assert "mean AP" in table.text
    before = texts(browser, "#own-0 .number")
    assert texts(browser, "#own-0 td.best .number") == [
        max(before[0::2][:2] + before[4:], key=lambda text: text[:4]), before[3]
    ]  # fmt: skip
    choose(browser, "#ours select.metric", "index_bytes")
    after = texts(browser, "#own-0 .number")
    assert after != before
    assert set(after) == {"1.62 kB ± 0 B", "1.62 kB", "3.24 kB ± 0 B"}
    assert texts(browser, "#own-0 caption") == ["index size"]
    click(browser, one(browser, "#own-0 .number"))
    assert "index size" in one(browser, "#panel").text


def test_a_table_is_sorted_by_its_heads(open_page):
    browser = open_page()
    rows = "#own-1 tbody th"
    assert texts(browser, rows) == ["LSH", "ITQ"]
    head = all_of(browser, "#own-1 thead button")[2]
    click(browser, head)
    assert texts(browser, rows) == ["ITQ", "LSH"]
    click(browser, head)
    assert texts(browser, rows) == ["LSH", "ITQ"]
    heads = all_of(browser, "#own-1 thead th")
    assert [h.get_attribute("aria-sort") for h in heads] == [None, None, "ascending"]


def pixels(browser, canvas):
    script = (
        "const c = arguments[0].cloneNode();"
        "const context = c.getContext('2d', {willReadFrequently: true});"
        "context.drawImage(arguments[0], 0, 0);"
        "const d = context.getImageData(0, 0, c.width, c.height).data;"
        "const seen = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255)"
        " seen.add([d[i], d[i + 1], d[i + 2]].join()); return [...seen]"
    )
    return set(browser.execute_script(script, canvas))


def test_maps_are_coloured_by_label_and_a_label_can_stand_alone(open_page):
    browser = open_page()
    canvases = all_of(browser, "#maps canvas")
    assert len(canvases) == 3
    label_two = "42,145,52"  # --m2 of the style
    assert all({label_two, "31,119,180"} <= pixels(browser, canvas) for canvas in canvases)
    click(browser, all_of(browser, "#maps .legend button")[2])
    for canvas in canvases:
        assert label_two in pixels(browser, canvas)
        assert "31,119,180" not in pixels(browser, canvas)


def test_a_query_is_picked_and_its_answers_shown(open_page):
    browser = open_page()
    assert len([a for a in all_of(browser, "#found .answer") if a.is_displayed()]) == 1
    click(browser, all_of(browser, "#found .pick button")[4])
    (shown,) = [a for a in all_of(browser, "#found .answer") if a.is_displayed()]
    assert shown.find_element(By.CSS_SELECTOR, ".asked").text == "query: 4"
    assert len(shown.find_elements(By.CSS_SELECTOR, ".shots li")) == 30
    assert {item.text[-1] for item in shown.find_elements(By.CSS_SELECTOR, ".shots li")} <= {
        "✓", "✗",
    }  # fmt: skip


@pytest.mark.parametrize("width", [375, 320, 768])
def test_nothing_overflows_on_a_narrow_screen(open_page, width):
    browser = open_page(width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    too_wide = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg') &&"
        " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert too_wide == []
    click(browser, one(browser, "table.own .number"))
    panel = one(browser, "#panel")
    assert panel.rect["width"] <= width
    assert panel.rect["x"] >= 0


def brightness(browser, selector, name):
    colour = one(browser, selector).value_of_css_property(name)
    red, green, blue = (float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_it_is_dark_where_the_reader_likes_it_dark(open_page):
    browser = open_page(scheme="dark")
    assert brightness(browser, "body", "background-color") < 40
    assert brightness(browser, "body", "color") > 200
    assert brightness(browser, "#curves path.line", "stroke") > 100
    browser = open_page(scheme="light")
    assert brightness(browser, "body", "background-color") > 240
    assert brightness(browser, "body", "color") < 60
    assert brightness(browser, "#curves path.line", "stroke") < 130


def test_tables_and_answers_read_without_the_script(browser, open_page):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        open_page()
        assert len([a for a in all_of(browser, "#found .answer") if a.is_displayed()]) == 10
        assert one(browser, "table.own .number").is_displayed()
        assert not one(browser, "select.metric").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_statistics_of_the_bits_open_their_panels(open_page):
    browser = open_page()
    numbers = all_of(browser, "#bits .number")
    assert len(numbers) >= 9 * 3
    name = texts(browser, "#bits thead th")[2]
    click(browser, numbers[0])
    assert f"{name}, mean over 2 seeds." in one(browser, "#panel").text


def test_more_methods_than_colours_are_told_apart(browser, results, tmp_path):
    records, row = Records(tmp_path / "many"), results.rows()[0]
    for n in range(12):
        asked = {"given": {"n_iter": n}, "parameters": {"n_iter": n}, "id": f"{n:016x}"}
        records.append({**row, **asked}, {})
    browser.get(write_report(records.folder, tmp_path / "page")[0].as_uri())
    drawn = all_of(browser, "#curves svg path.line")
    looks = {
        (line.get_attribute("style"), line.get_attribute("stroke-dasharray")) for line in drawn
    }
    assert len(drawn) == len(looks) == 12
