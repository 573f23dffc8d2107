import io
import tarfile

import numpy as np
import pytest
from scipy.io import savemat

from hashlearn.data import datasets, load_dataset, texts

STORY = """<REUTERS TOPICS="{topics}" LEWISSPLIT="{part}" CGISPLIT="X" OLDID="1" NEWID="{name}">
<DATE>26-FEB-1987</DATE>
<TOPICS>{tags}</TOPICS><PLACES><D>usa</D></PLACES>
<TEXT>&#2;
<TITLE>{title}</TITLE>
<DATELINE>    PARIS - </DATELINE><BODY>Profit of A&amp;B &lt;AB> rose.
&#3;</BODY></TEXT>
</REUTERS>
"""


def story(part="TRAIN", tags=("earn",), topics="YES", name="1", title="A TITLE"):
    tags = "".join(f"<D>{tag}</D>" for tag in tags)
    return STORY.format(part=part, tags=tags, topics=topics, name=name, title=title)


def write_archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as archive:
        for name, text in files.items():
            data = text.encode("latin-1")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_reuters(folder, stories):
    files = {"reuters21578/README.txt": story(name="none"), "reuters21578/a.sgm": "".join(stories)}
    write_archive(folder / "reuters21578" / "reuters21578.tar.xz", files)


def write_newsgroups(folder, posts):
    write_archive(folder / "newsgroups20" / "20news-bydate.tar.xz", posts)


def write_short(folder, name="StackOverflow", **changes):
    stored = {"trainIdx": np.array([[1, 3]]), "testIdx": np.array([[2]]), **changes}
    (folder / "shorttext").mkdir()
    (folder / "shorttext" / f"{name}.txt").write_text("\ufeffa b\nc\n\u00e9\n", encoding="utf-8")
    (folder / "shorttext" / f"{name}_gnd.txt").write_text("2\n1\n20\n")
    savemat(folder / "shorttext" / f"{name}-lite.mat", stored)


def test_stories_with_topics_are_taken_in_the_parts_of_modapte(data_folder):
    write_reuters(
        data_folder,
        [
            story("TRAIN", ("grain", "corn")),
            story("TEST", ("earn",), name="2", title="CAF\xc9 &lt;X>"),
            story("TRAIN", ()),  # without a topic
            story("TRAIN", topics="NO"),
            story("TEST", topics="BYPASS"),
            story("NOT-USED"),
            story("TRAIN", ("corn", "corn"), name="9"),
        ],
    )
    dataset = load_dataset("reuters21578")
    assert dataset.item_names == ("1", "2", "9")
    assert dataset.label_names == ("corn", "earn", "grain")
    assert dataset.y.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert dataset.splits["train"].tolist() == [0, 2]
    assert dataset.splits["test"].tolist() == [1]
    assert " ".join(dataset.X[1].split()) == "CAF\xc9 <X> PARIS - Profit of A&B <AB> rose."


def test_a_post_is_its_subject_and_its_body(data_folder):
    head = "From: who@where (Who)\nSubject: Re: one\n  and more\nLines: 2\n\n"
    write_newsgroups(
        data_folder,
        {
            "20news-bydate-train/sci.med/7": f"{head}body\n\nFrom: quoted\n",
            "20news-bydate-train/alt.atheism/9": "Subject: b\n\n",
            "20news-bydate-test/sci.med/8": "Lines: 1\n\nSubject: none",
        },
    )
    dataset = load_dataset("newsgroups20")
    assert dataset.X.tolist() == [
        "Subject: none", "b\n\n", "Re: one\n  and more\n\nbody\n\nFrom: quoted\n",
    ]  # fmt: skip
    assert dataset.y.tolist() == [1, 0, 1]
    assert dataset.label_names == ("alt.atheism", "sci.med")
    assert dataset.item_names[0] == "20news-bydate-test/sci.med/8"
    assert dataset.splits["test"].tolist() == [0]
    assert dataset.splits["train"].tolist() == [1, 2]


def test_short_texts_come_with_their_tags_and_parts(data_folder):
    write_short(data_folder)
    dataset = load_dataset("stackoverflow")
    assert dataset.X.tolist() == ["a b", "c", "\u00e9"]
    assert [dataset.label_names[number] for number in dataset.y] == [
        "oracle",
        "wordpress",
        "magento",
    ]
    assert dataset.splits["train"].tolist() == [0, 2]
    assert dataset.splits["test"].tolist() == [1]


@pytest.mark.parametrize("name", ["reuters21578", "newsgroups20", "searchsnippets"])
@pytest.mark.usefixtures("data_folder")
def test_missing_texts_have_no_download(name):
    assert not next(row for row in datasets() if row.name == name).is_local
    with pytest.raises(FileNotFoundError, match="it has no download"):
        load_dataset(name)


def test_files_that_are_here_are_found(data_folder):
    write_reuters(data_folder, [story()])
    write_newsgroups(data_folder, {"20news-bydate-train/a/1": "\n\n"})
    write_short(data_folder)
    assert texts.reuters_is_local()
    assert texts.newsgroups_are_local()
    assert texts.short_texts_are_local("StackOverflow")
    assert not texts.short_texts_are_local("SearchSnippets")


@pytest.mark.parametrize("cut", [20, 200, -400])
def test_a_damaged_archive_is_named(data_folder, cut):
    write_reuters(data_folder, [story(name=str(number)) for number in range(50)])
    path = data_folder / "reuters21578" / "reuters21578.tar.xz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"reuters21578.tar.xz: the archive is damaged"):
        load_dataset("reuters21578")


@pytest.mark.parametrize(
    ("stories", "message"),
    [
        ([], "holds no story with topics"),
        ([story().replace("TITLE>", "X>").replace("TEXT>", "Y>")], "a story has no TEXT"),
        ([story().replace("TOPICS>", "T>")], "a story has no TOPICS"),
        ([story("TEST")], "part 'train'"),
    ],
)
def test_an_archive_of_something_else_is_refused(data_folder, stories, message):
    write_reuters(data_folder, stories)
    with pytest.raises(ValueError, match=message):
        load_dataset("reuters21578")


@pytest.mark.parametrize(
    ("posts", "message"),
    [
        ({}, "holds no posts"),
        ({"20news-bydate-train/sci.med": "a"}, "'20news-bydate-train/sci.med' is no post"),
        ({"20news-bydate-dev/sci.med/1": "a"}, "is no post"),
    ],
)
def test_other_archives_than_posts_are_refused(data_folder, posts, message):
    write_newsgroups(data_folder, posts)
    with pytest.raises(ValueError, match=message):
        load_dataset("newsgroups20")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trainIdx": np.array([[1, 4]])}, "there are the rows 0 to 2"),
        ({"testIdx": np.array([[1]])}, "in both train and test"),
    ],
)
def test_parts_that_do_not_fit_the_texts_are_refused(data_folder, changes, message):
    write_short(data_folder, **changes)
    with pytest.raises(ValueError, match=message):
        load_dataset("stackoverflow")


def test_a_damaged_split_is_named(data_folder):
    write_short(data_folder)
    (data_folder / "shorttext" / "StackOverflow-lite.mat").write_bytes(b"no matrix" * 30)
    with pytest.raises(ValueError, match=r"StackOverflow-lite.mat is damaged or holds no split"):
        load_dataset("stackoverflow")


def test_a_text_too_many_is_refused(data_folder):
    write_short(data_folder)
    (data_folder / "shorttext" / "StackOverflow.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(ValueError, match=r"StackOverflow.txt: X has 4 rows and y has 3"):
        load_dataset("stackoverflow")
