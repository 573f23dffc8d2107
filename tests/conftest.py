"""Real data, for the tests that read them, and Chromium, for those that open pages."""

import os
import shutil
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
)  # fmt: skip


def pytest_runtest_setup(item):
    """Skip what reads real data where there are none."""
    if item.get_closest_marker("real") and not os.environ.get("HASHLEARN_DATA"):
        pytest.skip("HASHLEARN_DATA is not set")


@pytest.fixture(scope="session")
def real_data():
    """Give the folder of real data sets."""
    return Path(os.environ["HASHLEARN_DATA"])


@pytest.fixture(scope="module")
def chromium():
    """Start Chromium with an empty profile, for a module: its loop stands in the way of others."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    """Open windows of a width, in light or dark; check that nothing is logged as an error."""
    contexts, logged = [], []

    def new_page(width=1200, scheme="light", **options):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme,
            is_mobile=width < 500, has_touch=width < 500, **options,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda entry: entry.type == "error" and logged.append(entry.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.logged = logged
        return page

    yield new_page
    for context in contexts:
        context.close()
    assert logged == []
