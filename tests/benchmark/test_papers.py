import math
import re

import pytest

from hashlearn.benchmark import papers as papers_module
from hashlearn.benchmark.papers import load_paper, papers
from hashlearn.benchmark.plans import plan_table
from hashlearn.data import datasets
from hashlearn.evaluation import get_protocol
from hashlearn.features import make_features
from hashlearn.hashers import get_method, methods

IMPLEMENTED = {method.name for method in methods()}
TABLES = [(name, table) for name in papers() for table in load_paper(name).tables]
every_table = pytest.mark.parametrize(
    ("name", "table"), TABLES, ids=[f"{name} {table.id}" for name, table in TABLES]
)

# All numbers of a table added up, as they are printed.
SUMS = {
    "bgan": {"components": 5.774, "features": 72.52},
    "itq": {},
    "lsh": {},
    "pgh": {
        "1-pixel": 386.75, "1-gist": 542.82, "1-images": 411.48, "2-gist": 227.19,
        "2-vgg": 247.08, "2-images": 231.97, "start-codes": 367.24, "curve-mnist": 0,
        "curve-cifar10": 0,
    },
    "sh": {},
    "sigah": {
        "1-gist1m-map": 2.8657, "1-gist1m-precision": 5.605, "1-deep1m-map": 3.5508,
        "1-deep1m-precision": 7.5097, "1-tiny100k-map": 2.171, "1-tiny100k-precision": 4.949,
        "2-map": 5.8249, "2-precision": 11.3566, "3-gist1m": 2585.78, "3-deep1m": 899.752,
        "3-tiny100k": 2715.76, "4-gist1m": 0.924, "4-deep1m": 1.0605, "4-tiny100k": 0.7925,
        "5-tiny100k": 1.1234, "5-deep1m": 1.6286, "5-mnist": 1.9615, "6-cifar10-gist": 1.207,
        "6-cifar10-vgg": 8.406, "6-cifar10-images": 3.926, "6-imagenet-vgg": 7.73, "7": 3.591,
    },
}  # fmt: skip

GOOD = """
[paper]
method = "mine"
title = "A title"
authors = "A. Author"
year = 2020
venue = "A venue"

[settings]
n_iter = 5

[stand_ins.small]
dataset = "digits"
features = "pixels"
protocol = "labels"
why = "Digits too."

[[tables]]
id = "1"
title = "Digits"
dataset = "absent"
features = "none"
protocol = "labels"
metric = "mean_average_precision"
unit = "percent"
bits = [16, 32]
stand_in = "small"
rows = [
    { label = "LSH", method = "lsh", printed = [20.52, nan] },
    { label = "Wide", method = "wide", bits = [960], parameters = { a = 1 }, printed = [50] },
]
"""


@pytest.fixture
def load(tmp_path):
    """Load the text of a file, in which one piece is replaced."""

    def load_text(old="", new=""):
        assert old in GOOD
        path = tmp_path / "mine.toml"
        path.write_text(GOOD.replace(old, new), encoding="utf-8")
        return load_paper(path)

    return load_text


def test_a_file_says_what_was_printed_and_how(load):
    paper = load()
    assert (paper.method, paper.year, paper.settings) == ("mine", 2020, {"n_iter": 5})
    (table,) = paper.tables
    assert (table.bits, table.unit, table.metric) == ((16, 32), "percent", "mean_average_precision")
    assert table.printed("LSH", 16) == 0.2052
    assert math.isnan(table.printed("LSH", 32))
    assert table.printed("Wide", 960) == 0.5
    assert table.rows[1].parameters == {"a": 1}
    assert table.stand_in.dataset == "digits"
    assert table.missing == "the data set absent"


def test_what_is_missing_is_named_until_the_library_has_it(load):
    assert load('"absent"', '"mnist"').tables[0].missing == ""
    (table,) = load('"absent"\nfeatures = "none"', '"mnist"\nfeatures = "gabor"').tables
    assert table.missing == "the features gabor"


def test_a_number_that_is_not_in_the_table_is_an_error(load):
    (table,) = load().tables
    with pytest.raises(ValueError, match="has no row 'ITQ'; there are: LSH, Wide"):
        table.printed("ITQ", 16)
    with pytest.raises(ValueError, match="Wide has 960 bits, not 16"):
        table.printed("Wide", 16)


def test_a_table_is_chosen_with_all_its_parts():
    paper = load_paper("sigah")
    assert [table.id for table in paper.select("2")] == ["2-map", "2-precision"]
    assert [table.id for table in paper.select("1-gist1m")] == [
        "1-gist1m-map",
        "1-gist1m-precision",
    ]
    assert paper.select("7")[0].id == "7"
    with pytest.raises(ValueError, match="paper of sigah has no table '8'; there are: 1-gist1m"):
        paper.select("8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("year = 2020", "year = '2020'", r"mine\.toml, \[paper\]: year must be a whole number"),
        ('venue = "A venue"', "", r"\[paper\]: missing key venue"),
        ("[settings]\nn_iter = 5", "", "missing key settings"),
        ("[settings]", "[setings]", "unknown key setings; there are: paper, settings, tables"),
        ('title = "Digits"', "", "table '1': missing key title"),
        ('id = "1"', "", "table 1: missing key id"),
        ("bits = [16", "colour = 1\nbits = [16", "table '1': unknown key colour; there are: id,"),
        ('protocol = "labels"\nmetric', 'protocol = "l"\nmetric', "'1': unknown protocol 'l'"),
        ("mean_average_precision", "map", "unknown metric 'map'; labels gives: mean_average_"),
        ("mean_average_precision", "precision_at_7", "unknown metric 'precision_at_7'"),
        ('"percent"', '"per mille"', "unit must be one of fraction, percent, seconds"),
        ('unit = "percent"', "", r"row 'LSH': a fraction must be from 0 to 1, got 20\.52"),
        ("[20.52, nan]", "[20.52]", "row 'LSH': printed has 1 numbers for 2 code lengths"),
        ("[20.52, nan]", "[20.52, '-']", "row 'LSH': printed must hold numbers, got '-'"),
        ("[20.52, nan]", "[20.52, true]", "row 'LSH': printed must hold numbers, got True"),
        ("[20.52, nan]", "[20.52, -1.0]", "a percent must be from 0 to 100, got -1"),
        ("[20.52, nan]", "[20.52, inf]", "a percent must be from 0 to 100, got inf"),
        ("[16, 32]", "[16, 0]", "bits must be whole numbers from 1 on"),
        ("[16, 32]", "[16, 16]", "the code length 16 is there twice"),
        ("bits = [960]", "bits = 960", "row 'Wide': bits must be a list, got 960"),
        ("parameters", "settings", "row 'Wide': unknown key settings"),
        ('"Wide"', '"LSH"', "the label 'LSH' is there twice"),
        ('stand_in = "small"', 'stand_in = "big"', "unknown stand_in 'big'; there are: small"),
        ('"digits"', '"digit"', "stand-in 'small': unknown data set 'digit'; there are: digits"),
        ('"pixels"', '"pixel"', "stand-in 'small': unknown features 'pixel'"),
        ('why = "Digits too."', "", "stand-in 'small': missing key why"),
        ("rows = [", "rows = [ 3,", "row 1 must hold keys and values, got 3"),
        ("[paper]", "[paper", r"mine\.toml is no TOML: "),
    ],
)
def test_a_bad_file_is_refused_with_the_place_of_the_mistake(load, old, new, message):
    with pytest.raises(ValueError, match=message):
        load(old, new)


def test_two_tables_do_not_share_an_id(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + GOOD[GOOD.index("[[tables]]") :], encoding="utf-8")
    with pytest.raises(ValueError, match="the id '1' is there twice"):
        load_paper(path)


def test_a_paper_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"unknown paper 'sigma'; there are: .*bgan.*, itq"):
        load_paper("sigma")
    with pytest.raises(FileNotFoundError):
        load_paper(tmp_path / "absent.toml")


def test_an_installed_package_has_the_files_in_itself(tmp_path, monkeypatch):
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "mine.toml").write_text(GOOD, encoding="utf-8")
    folders = (tmp_path / "installed", *papers_module._FOLDERS)
    monkeypatch.setattr(papers_module, "_FOLDERS", folders)
    assert papers() == ("mine",)
    assert load_paper("mine").title == "A title"
    monkeypatch.setattr(papers_module, "_FOLDERS", (tmp_path / "absent",))
    with pytest.raises(FileNotFoundError, match=r"there are no paper files in .*absent"):
        papers()


def test_the_tables_are_those_of_the_papers_and_no_number_has_slipped():
    assert set(papers()) >= set(SUMS)
    for name, tables in SUMS.items():
        found = {
            table.id: (100 if table.unit == "percent" else 1)
            * sum(x for row in table.rows for x in row.printed if not math.isnan(x))
            for table in load_paper(name).tables
        }
        assert found == pytest.approx(tables)


@pytest.mark.parametrize(
    ("paper", "table", "label", "n_bits", "number"),
    [
        ("sigah", "1-gist1m-map", "SiGAH", 64, 0.2594),
        ("sigah", "1-deep1m-precision", "LSH", 32, 0.2359),
        ("sigah", "1-tiny100k-map", "OCH", 64, 0.1893),
        ("sigah", "1-tiny100k-precision", "QoLSH", 384, 0.3313),
        ("sigah", "2-map", "ITQ", 64, 0.4681),
        ("sigah", "2-precision", "SiGAH", 32, 0.8255),
        ("sigah", "3-gist1m", "BA", 64, 1120),
        ("sigah", "4-tiny100k", "without the discriminator", 64, 0.2348),
        ("sigah", "5-deep1m", "sigmoid", 64, 0.3325),
        ("sigah", "6-cifar10-gist", "DH", 32, 0.167),
        ("sigah", "6-cifar10-vgg", "TBH", 16, 0.536),
        ("sigah", "6-imagenet-vgg", "SiGAH(D)", 64, 0.758),
        ("sigah", "7", "DenseNet121", 64, 0.635),
        ("pgh", "1-images", "PGH+GIST", 32, 0.6695),
        ("pgh", "1-gist", "DH+GIST", 16, 0.4314),
        ("pgh", "2-vgg", "ITQ+VGG", 64, 0.2823),
        ("pgh", "2-images", "PGH+GIST", 64, 0.324),
        ("pgh", "start-codes", "ITQ+VGG, t=2", 64, 0.333),
        ("bgan", "components", "l_N + l_C + l_A", 32, 0.531),
        ("bgan", "features", "GIST", 32, 0.1942),
    ],
)
def test_numbers_stand_where_the_papers_have_them(paper, table, label, n_bits, number):
    (found,) = load_paper(paper).select(table)
    assert found.printed(label, n_bits) == number


def test_tables_that_repeat_a_setting_agree_or_say_that_they_do_not():
    sigah = {table.id: table for table in load_paper("sigah").tables}
    for data in ("gist1m", "deep1m", "tiny100k"):
        for n_bits in (32, 64):
            printed = sigah[f"1-{data}-map"].printed("SiGAH", n_bits)
            assert sigah[f"4-{data}"].printed("with it", n_bits) == printed
    for data, first in (
        ("tiny100k", "1-tiny100k-map"),
        ("deep1m", "1-deep1m-map"),
        ("mnist", "2-map"),
    ):
        table = sigah[f"5-{data}"]
        other = sigah[first].printed("SiGAH", 64)
        assert table.printed("LeakyReLU", 64) != other
        assert f"{other:.4f}"[1:] in table.note
    pgh = {table.id: table for table in load_paper("pgh").tables}
    starts = pgh["start-codes"]
    assert starts.printed("LSH+GIST, t=0", 64) == pgh["2-gist"].printed("LSH+GIST", 64)
    assert starts.printed("ITQ+GIST, t=0", 64) == pgh["2-gist"].printed("ITQ+GIST", 64)
    assert starts.printed("ITQ+VGG, t=0", 64) == pgh["2-vgg"].printed("ITQ+VGG", 64)
    assert starts.printed("ITQ+GIST, t=4", 64) == pgh["2-images"].printed("PGH+GIST", 64)


@every_table
def test_a_table_can_be_run_or_has_a_stand_in_or_says_why_not(name, table):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", table.id)
    assert table.rows or "picture" in table.note, f"{name} {table.id} prints nothing"
    if table.missing:
        assert table.stand_in or table.note
    if table.stand_in:
        assert table.stand_in.dataset in {row.name for row in datasets()}
        make_features(table.stand_in.features)
        stand_in = get_protocol(table.stand_in.protocol)
        assert stand_in.truth == get_protocol(table.protocol).truth


@every_table
def test_parameters_of_implemented_methods_are_constructor_arguments(name, table):
    for row in table.rows:
        assert row.method == row.method.lower(), f"{name} {table.id}"
        if row.method in IMPLEMENTED:
            get_method(row.method)().set_params(**row.parameters)


@pytest.mark.parametrize("name", papers())
def test_settings_of_implemented_methods_are_constructor_arguments(name):
    paper = load_paper(name)
    assert paper.method == name
    if name in IMPLEMENTED:
        get_method(name)().set_params(**paper.settings)


def test_a_table_says_what_codes_are_compared_by(tmp_path):
    def distances(document):
        path = tmp_path / "paper.toml"
        path.write_text(document)
        (table,) = load_paper(path).tables
        return {table.distance, *(job.distance for job in plan_table(table, [0]).jobs)}

    assert distances(GOOD) == {"hamming"}
    given = GOOD.replace("[[tables]]", '[[tables]]\ndistance = "spherical"')
    assert distances(given) == {"spherical"}
    with pytest.raises(ValueError, match="must be one of hamming, spherical; got 'cosine'"):
        distances(given.replace('"spherical"', '"cosine"'))
