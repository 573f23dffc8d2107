"""A server of small collections, and windows on its pages."""

import threading
from urllib.parse import quote, urlsplit

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import expect

from hashlearn import get_method
from hashlearn.collection import Collection
from hashlearn.data import load_dataset
from hashlearn.demo import make_collections
from hashlearn.models import make_model
from hashlearn.web.app import create_app
from hashlearn.web.server import address_of, listen

TEXTS = [
    f"{colour} {thing} {place}"
    for colour in ("red", "green", "blue")
    for thing in ("car", "house", "coat")
    for place in ("here", "there", "far away", "in town")
]


class Site:
    """A running server."""

    def __init__(self, paths, **options):
        collections = {path.stem: Collection.open(path) for path in paths}
        self.listening = listen("127.0.0.1", 0)
        self.address = address_of(self.listening)
        config = uvicorn.Config(create_app(collections, **options), log_level="warning")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.listening],))
        self.thread.start()

    def stop(self):
        self.server.should_exit = True
        self.thread.join()
        self.listening.close()


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """Make collections: digits under ITQ and LSH, short texts, and vectors."""
    folder = tmp_path_factory.mktemp("collections")
    made = make_collections(load_dataset("digits"), folder, ["itq", "lsh"], n_bits=32, seed=0)
    texts, points = folder / "texts.collection", folder / "points.collection"
    model = make_model("bagofwords", get_method("lsh")(32, random_state=0))
    with Collection.create(model.fit(np.array(TEXTS, object)), texts) as collection:
        collection.add(TEXTS, keys=[f"t/{i}" for i in range(len(TEXTS))])
    X = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    with Collection.create(get_method("lsh")(6, random_state=0).fit(X), points) as collection:
        collection.add(X, keys=[f"p/{i}" for i in range(30)])
    return [*made, texts, points]


@pytest.fixture(scope="module")
def site(paths):
    site = Site(paths)
    yield site
    site.stop()


@pytest.fixture
def own_site(paths):
    """Start a server that a test may stop, with options of the application."""
    sites = []

    def own_site(**options):
        sites.append(Site(paths, **options))
        return sites[-1]

    yield own_site
    for site in sites:
        site.stop()


@pytest.fixture
def open_page(own_site, new_page, request):  # noqa: ARG001  windows close before servers stop
    """Open a page of the server; check that nothing is asked of another host."""
    hosts = set()

    def open_page(path, width=1200, scheme="light", site=None, **options):
        site = site or request.getfixturevalue("site")
        page = new_page(width, scheme, **options)
        page.on("request", lambda asked: hosts.add(urlsplit(asked.url).hostname))
        page.goto(site.address + path)
        if page.locator(".column").count():
            settled(page)
        return page

    yield open_page
    assert hosts <= {"127.0.0.1", None}  # data: has no host


def settled(page):
    """Wait until everything that was asked for is shown."""
    expect(page.locator(".column[aria-busy], .cards.waiting, #filters[aria-busy]")).to_have_count(0)
    expect(page.locator(".column .content > *").first).to_be_attached()


@pytest.fixture
def asked():
    """Ask the API, beside the page."""

    def asked(page, path, body=None):
        site = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        if body is None:
            return page.request.get(f"{site}/api/v1/collections/{path}")
        return page.request.post(f"{site}/api/v1/collections/{path}", data=body)

    return asked


@pytest.fixture
def key_of():
    """Write a key as it stands in an address."""
    return lambda key: quote(key, safe="")
