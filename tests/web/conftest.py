"""Small collections of every kind, and the application over them."""

import base64
import shutil
from contextlib import ExitStack
from io import BytesIO

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from hashlearn import get_method
from hashlearn.collection import Collection
from hashlearn.features import make_features
from hashlearn.models import make_model
from hashlearn.web.app import create_app

N_VECTORS = 40
TEXTS = [f"{animal} number {i}" for i in range(5) for animal in ("cat", "dog", "cow", "fox")]


def pictures():
    """Make eight bright and dark images."""
    rng = np.random.default_rng(0)
    return [
        np.clip(rng.normal(60 + 120 * (i % 2), 20, (10, 12, 3)), 0, 255).astype(np.uint8)
        for i in range(8)
    ]


def encoded(image, form="PNG"):
    """Write an image as requests bring it."""
    file = BytesIO()
    Image.fromarray(image).save(file, form)
    return base64.b64encode(file.getvalue()).decode()


def vectors():
    return np.random.default_rng(0).normal(size=(N_VECTORS, 8)).astype(np.float32)


def fill(folder):
    """Make one collection of each kind in a folder."""
    rng = np.random.default_rng(0)
    hasher = get_method("itq")(8, random_state=0).fit(vectors())
    with Collection.create(hasher, folder / "points.collection") as points:
        points.add(
            vectors(),
            keys=[f"p/{i}" for i in range(N_VECTORS)],
            labels=["even" if i % 2 == 0 else "odd" for i in range(N_VECTORS)],
            metadata=[{"year": 2000 + i} for i in range(N_VECTORS)],
            captions=[f"point {i}" for i in range(N_VECTORS)],
        )
    front = make_features("pixels")
    images = rng.integers(0, 256, (20, 6, 6, 3)).astype(np.uint8)
    model = make_model(front, get_method("lsh")(16, random_state=0)).fit(images)
    with Collection.create(model, folder / "photos.collection") as photos:
        photos.add(pictures(), keys=[f"{i}.png" for i in range(8)])
    model = make_model("bagofwords", get_method("lsh")(16, random_state=0))
    model.fit(np.array(TEXTS, object))
    with Collection.create(model, folder / "animals.collection") as animals:
        animals.add(TEXTS, keys=[f"t{i}" for i in range(len(TEXTS))])
    return folder


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """Make a folder of collections."""
    return fill(tmp_path_factory.mktemp("filled"))


@pytest.fixture
def folder(tmp_path, filled):
    """Copy the folder of collections, to write into."""
    return shutil.copytree(filled, tmp_path / "folder")


@pytest.fixture
def serving(folder):
    """Serve the collections in this process, with options of the application."""
    with ExitStack() as stack:

        def serving(**options):
            collections = {
                name: Collection.open(folder / f"{name}.collection")
                for name in ("points", "photos", "animals")
            }
            app = create_app(collections, **options)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False))

        yield serving


@pytest.fixture
def client(serving):
    """Serve them with the usual limits, to everyone."""
    return serving()


@pytest.fixture
def image():
    """Give images as arrays, and as requests bring them."""
    return pictures, encoded
