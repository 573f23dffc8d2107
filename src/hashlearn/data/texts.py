"""Named data sets of texts: Reuters-21578, 20 Newsgroups, and two sets of short texts."""

import html
import lzma
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Dataset
from hashlearn.data.locations import find_file, naming, not_found

REUTERS = ("reuters21578", "reuters21578.tar.xz")
"""Sub-folder and file of Reuters-21578."""

NEWSGROUPS = ("newsgroups20", "20news-bydate.tar.xz")
"""Sub-folder and file of 20 Newsgroups."""

SHORT_TEXTS = "shorttext"
"""Sub-folder of the short texts."""

SEARCHSNIPPETS = (
    "business", "computers", "culture", "education-science", "engineering", "health",
    "politics-society", "sports",
)  # fmt: skip
"""Name of each tag of SearchSnippets."""

STACKOVERFLOW = (
    "wordpress", "oracle", "svn", "apache", "excel", "matlab", "visual-studio", "cocoa", "osx",
    "bash", "spring", "hibernate", "scala", "sharepoint", "ajax", "qt", "drupal", "linq", "haskell",
    "magento",
)  # fmt: skip
"""Name of each tag of StackOverflow."""

_STORY = re.compile(r"<REUTERS (.*?)>(.*?)</REUTERS>", re.DOTALL)
_ATTRIBUTE = re.compile(r'(\w+)="(.*?)"')
_TOPICS = re.compile(r"<TOPICS>(.*?)</TOPICS>", re.DOTALL)
_TOPIC = re.compile(r"<D>(.*?)</D>")
_TEXT = re.compile(r"<TEXT.*?>(.*)</TEXT>", re.DOTALL)
_ELEMENT = re.compile(r"</?(?:AUTHOR|BODY|DATELINE|TITLE)>")
_SUBJECT = re.compile(r"^Subject:(.*(?:\n[ \t].*)*)", re.MULTILINE | re.IGNORECASE)
_PARTS = {"TRAIN": "train", "TEST": "test"}


def reuters_is_local() -> bool:
    """Tell whether Reuters-21578 is here already.

    Returns
    -------
    bool
        True if loading needs nothing more.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return find_file(*REUTERS) is not None


def newsgroups_are_local() -> bool:
    """Tell whether the posts of 20 Newsgroups are here already.

    Returns
    -------
    bool
        True if loading needs nothing more.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return find_file(*NEWSGROUPS) is not None


def short_texts_are_local(name: str) -> bool:
    """Tell whether a set of short texts is here already.

    Parameters
    ----------
    name : {"SearchSnippets", "StackOverflow"}
        Name of its files.

    Returns
    -------
    bool
        True if loading needs nothing more.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return all(find_file(SHORT_TEXTS, file) for file in _short_files(name))


def load_reuters() -> Dataset:
    """Load the stories of Reuters-21578 that have topics, ModApte split.

    Returns
    -------
    Dataset
        `X` texts of shape (10794,): what stands in a story's TEXT, its title first; `y` uint8 of
        shape (10794, 118), one column a topic; the published parts ``"train"`` (7,775 stories) and
        ``"test"`` (3,019). The name of an item is its NEWID.

    Raises
    ------
    FileNotFoundError
        If the archive is not here; it has no download.
    ValueError
        If it is damaged or not what it should be.

    Notes
    -----
    ModApte has 9,603 and 3,299 stories. Those without a topic (1,828 and 280) are left out, as
    hashing papers do: nothing shares a label with them. The columns are the topics that occur in
    either part; 115 of the 118 occur in the train part.
    """
    path = _locate(*REUTERS)
    texts, topics, parts, names = [], [], [], []
    with naming(path):
        for _, content in _members(path, ".sgm"):
            for header, story in _STORY.findall(content):
                attributes = dict(_ATTRIBUTE.findall(header))
                part = _PARTS.get(attributes.get("LEWISSPLIT", ""))
                if part is None or attributes.get("TOPICS") != "YES":
                    continue
                if found := _TOPIC.findall(_first(_TOPICS, story, "TOPICS")):
                    text = _ELEMENT.sub("\n", _first(_TEXT, story, "TEXT"))
                    texts.append(_unescape(text))
                    topics.append(found)
                    parts.append(part)
                    names.append(attributes.get("NEWID", ""))
        if not texts:
            raise ValueError("it holds no story with topics")
        label_names = tuple(sorted({topic for found in topics for topic in found}))
        column = {topic: number for number, topic in enumerate(label_names)}
        y = np.zeros((len(texts), len(label_names)), dtype=np.uint8)
        for row, found in zip(y, topics, strict=True):
            row[[column[topic] for topic in found]] = 1
        return Dataset(
            name="reuters21578",
            X=_as_texts(texts),
            y=y,
            label_names=label_names,
            item_names=tuple(names),
            splits=_rows_of(parts),
            source="Reuters-21578, Distribution 1.0, D. D. Lewis",
        )


def load_newsgroups() -> Dataset:
    """Load the posts of 20 Newsgroups, "bydate" version.

    Returns
    -------
    Dataset
        `X` texts of shape (18846,), `y` int64, the published parts ``"train"`` (11,314 posts) and
        ``"test"`` (7,532). Items are in the order of their paths, which are their names.

    Raises
    ------
    FileNotFoundError
        If the archive is not here; it has no download.
    ValueError
        If it is damaged or not what it should be.

    Notes
    -----
    A text is the subject and what follows the header. The other header lines (sender,
    organisation, host) are left out, because they name the group to whoever knows its authors;
    quotations and signatures stay. Item for item they are the posts of ``newsgroups20_minilm``.
    """
    path = _locate(*NEWSGROUPS)
    with naming(path):
        posts = sorted(_members(path))
        if not posts:
            raise ValueError("it holds no posts")
        places = [name.split("/") for name, _ in posts]
        if wrong := [name for (name, _), place in zip(posts, places, strict=True)
                     if len(place) != 3 or place[0].removeprefix("20news-bydate-")
                     not in _PARTS.values()]:  # fmt: skip
            raise ValueError(f"{wrong[0]!r} is no post: expected 20news-bydate-train/GROUP/NUMBER")
        groups = [group for _, group, _ in places]
        label_names, y = np.unique(groups, return_inverse=True)
        return Dataset(
            name="newsgroups20",
            X=_as_texts([_without_header(post) for _, post in posts]),
            y=y.astype(np.int64),
            label_names=tuple(label_names.tolist()),
            item_names=tuple(name for name, _ in posts),
            splits=_rows_of([part.removeprefix("20news-bydate-") for part, _, _ in places]),
            source="20 Newsgroups, bydate version (http://qwone.com/~jason/20Newsgroups/)",
        )


def load_short_texts(name: str) -> Dataset:
    """Load a set of short texts with one tag each, in the version of Xu et al. 2017.

    Parameters
    ----------
    name : {"SearchSnippets", "StackOverflow"}
        Name of its files.

    Returns
    -------
    Dataset
        `X` texts of shape (12340,) or (20000,), `y` int64, the published parts ``"train"`` and
        ``"test"``.

    Raises
    ------
    FileNotFoundError
        If a file is not here; they have no download.
    ValueError
        If a file is damaged or not what it should be.
    """
    from scipy.io import loadmat

    texts_path, tags_path, split_path = (_locate(SHORT_TEXTS, file) for file in _short_files(name))
    with naming(texts_path):
        texts = texts_path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    with naming(tags_path):
        y = np.array(tags_path.read_text(encoding="ascii").split(), dtype=np.int64) - 1
    try:
        with split_path.open("rb") as file:
            stored = loadmat(file, variable_names=["trainIdx", "testIdx"])
        splits = {
            part: np.ravel(stored[f"{part}Idx"]).astype(np.int64) - 1 for part in ("train", "test")
        }
    except Exception as error:  # SciPy's reader raises whatever a damaged file leads it to
        raise ValueError(f"{split_path} is damaged or holds no split: {error}") from error
    with naming(texts_path):
        return Dataset(
            name=name.lower(),
            X=_as_texts(texts),
            y=y,
            label_names=SEARCHSNIPPETS if name == "SearchSnippets" else STACKOVERFLOW,
            splits=splits,
            source="J. Xu et al. 2017, Neural Networks 88 (https://github.com/jacoxu/STC2)",
        )


def _short_files(name: str) -> tuple[str, str, str]:
    return f"{name}.txt", f"{name}_gnd.txt", f"{name}-lite.mat"


def _locate(folder: str, name: str) -> Path:
    if found := find_file(folder, name):
        return found
    raise not_found(folder, name, "it has no download: put the file in one of them")


def _members(path: Path, suffix: str = "") -> Iterator[tuple[str, str]]:
    """Read the files of an archive one after the other, without unpacking it to disk."""
    try:
        with tarfile.open(path, "r|xz") as archive:
            for member in archive:
                if member.name.endswith(suffix) and (file := archive.extractfile(member)):
                    yield member.name, file.read().decode("latin-1")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise ValueError(f"the archive is damaged: {error}") from error


def _first(pattern: re.Pattern[str], story: str, what: str) -> str:
    if (found := pattern.search(story)) is None:
        raise ValueError(f"a story has no {what}")
    return found[1]


def _unescape(text: str) -> str:
    """Turn entities into characters; ``&#2;``, ``&#3;`` and their like were control characters."""
    return html.unescape(re.sub(r"&#\d+;", " ", text)).strip()


def _without_header(post: str) -> str:
    header, _, body = post.partition("\n\n")
    subject = _SUBJECT.search(header)
    return f"{subject[1].strip()}\n\n{body}" if subject else body


def _as_texts(texts: list[str]) -> NDArray[np.object_]:
    return np.array(texts, dtype=object)


def _rows_of(parts: list[str]) -> dict[str, NDArray[np.int64]]:
    array = np.array(parts)
    return {part: np.flatnonzero(array == part) for part in ("train", "test")}
