"""A small collection of vectors."""

import numpy as np
import pytest

from hashlearn.collection import Collection
from hashlearn.hashers import get_method


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.collection"


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)


@pytest.fixture
def hasher(vectors):
    return get_method("lsh")(16, random_state=0).fit(vectors)


@pytest.fixture
def points(path, vectors, hasher):
    """A collection of 60 vectors under the keys p0, p1, and so on."""
    with Collection.create(hasher, path) as collection:
        collection.add(vectors, keys=[f"p{i}" for i in range(60)])
        yield collection
