import base64
import copy
import io
import json
import math
import re
import shlex
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from typer.main import get_command

from hashlearn import cli
from hashlearn.benchmark import Records, compare_summaries
from hashlearn.benchmark.report import page as page_module
from hashlearn.benchmark.report import write_report
from hashlearn.benchmark.report.contents import Contents
from hashlearn.benchmark.report.curves import distances_of, history_of, lines_of
from hashlearn.benchmark.report.pictures import make_gallery, make_map, map_labels
from hashlearn.benchmark.report.queries import pooled_weights
from hashlearn.benchmark.report.settings import settings_of
from hashlearn.benchmark.report.tables import compare_with_papers, verdict
from hashlearn.benchmark.report.words import (
    command_line,
    is_protocol,
    metric,
    protocol_in_words,
    split_in_words,
)
from hashlearn.benchmark.summary import Summary
from hashlearn.cli.bench import judgement
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, get_protocol, protocols

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def written(results, paper, tmp_path_factory):
    """Write the report of the digits; give the text of the page and of the Markdown."""
    paths = write_report(
        results.folder, tmp_path_factory.mktemp("report") / "out", compare_with=[paper]
    )
    return [path.read_text(encoding="utf-8") for path in paths]


@pytest.fixture
def row(results):
    return copy.deepcopy(results.rows()[0])


def data_in(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


def bare(row, **changes):
    """Leave of a row only what says what was asked."""
    names = ("id", "dataset", "fingerprint", "split", "protocol", "features", "method", "n_bits",
             "seed", "given", "parameters", "scores")  # fmt: skip
    return {**{name: row[name] for name in names}, **changes}


def write_rows(folder, rows):
    records = Records(folder)
    for number, row in enumerate(rows):
        records.append({**row, "id": f"{number:016x}"}, {})
    return records


# --- The papers' tables ---


def test_a_printed_number_meets_the_run_with_its_parameters(results, paper):
    (table, *_), _ = compare_with_papers(settings_of(results.rows()), [paper])
    by_label = {line.row.label: line for line in table.lines}
    itq, short = by_label["ITQ"].cells[0].summary, by_label["ITQ, short"].cells[0].summary
    assert (itq.first["given"], itq.seeds) == ({}, [0, 1])
    assert (short.first["given"], short.seeds) == ({"n_iter": 3}, [0])
    assert by_label["ITQ, short"].cells[1] is None
    assert itq.first["protocol"] == get_protocol("euclidean-100").as_dict()
    values = [
        row["scores"]["mean_average_precision"]
        for row in results.rows()
        if (row["method"], row["n_bits"], row["given"]) == ("itq", 8, {})
        and row["protocol"]["truth"] == "euclidean"
    ]
    assert by_label["ITQ"].cells[0].mean == pytest.approx(np.mean(values))
    assert by_label["ITQ"].cells[0].deviation == pytest.approx(np.std(values, ddof=1))


def test_who_is_ahead_depends_on_the_deviation():
    options = {"is_comparable": True}
    assert verdict(0.40, 0.43, 0.02, **options) == "ahead"
    assert verdict(0.46, 0.43, 0.02, **options) == "behind"
    assert verdict(0.44, 0.43, 0.02, **options) == "within"
    assert verdict(0.4304, 0.43, None, **options) == "within"  # the printed number is rounded
    assert verdict(0.44, 0.43, None, **options) == "behind"
    assert verdict(math.nan, 0.43, 0.02, **options) == "none"
    assert verdict(0.40, None, None, **options) == "none"
    assert verdict(0.40, 0.43, 0.02, is_comparable=False) == "none"


def test_cells_are_judged_and_methods_that_are_not_here_are_known_as_such(results, paper):
    (table, *_), _ = compare_with_papers(settings_of(results.rows()), [paper])
    verdicts = {line.row.label: [c and c.verdict for c in line.cells] for line in table.lines}
    assert verdicts == {
        "LSH": ["ahead", "behind"],
        "ITQ": ["behind", "none"],  # the paper prints nothing at 16 bits
        "ITQ, short": ["ahead", None],
        "MLH": ["none", "none"],
    }
    assert [line.is_known for line in table.lines] == [True, True, True, False]
    assert table.n_filled == 5
    assert table.decimals == 4


def test_a_stand_in_is_named_and_never_wins(results, paper, written):
    filled, _ = compare_with_papers(settings_of(results.rows()), [paper])
    stand_in = filled[1]
    assert stand_in.is_stand_in
    (cell,) = stand_in.lines[0].cells
    assert cell.mean > 0.1 > cell.printed
    assert cell.verdict == "none"
    assert "<strong>◇ Stand-in.</strong> Ours are on digits" in written[0]
    part = written[0].split("Table 2, large")[2]
    assert "verdict other" in part.split("</table>")[0]


def test_a_table_without_a_number_says_what_it_needs(results, paper, written):
    _, (missing,) = compare_with_papers(settings_of(results.rows()), [paper])
    assert missing.table.id == "3"
    assert 'Table 3, elsewhere: <span class="needs">the data set imagenet' in written[0]


def test_queries_from_the_training_part_do_not_fill_a_papers_table(row, paper):
    own = bare(row)
    (table, *_), _ = compare_with_papers(settings_of([own]), [paper])
    assert table.table.id == "1"
    other = bare(row, split={**row["split"], "n_queries": 17})
    assert compare_with_papers(settings_of([other]), [paper])[0] == []
    tuned = bare(row, fingerprint="other", split={**row["split"], "queries_from": "train"})
    assert compare_with_papers(settings_of([tuned]), [paper])[0] == []


def test_a_row_of_an_older_version_still_counts_as_its_protocol(row):
    old = {key: value for key, value in row["protocol"].items() if key not in ("gain", "ndcg_at")}
    assert is_protocol(old, "euclidean-100")
    assert not is_protocol({**old, "n_neighbors": 99}, "euclidean-100")
    assert not is_protocol({}, "euclidean-100")


# --- Words ---


def test_numbers_are_written_as_people_read_them():
    assert metric("mean_average_precision").write(0.51649) == ".516"
    assert metric("precision_at_100").write(1.0) == "1.000"
    assert metric("precision_at_100").write(0.46812, 4) == ".4681"
    assert metric("fit_seconds").write(0.1234) == "0.12 s"
    assert metric("fit_seconds").write(1234.4) == "1234 s"
    assert metric("index_bytes").write(720_000) == "720 kB"
    assert metric("peak_memory_bytes").write(1.5e9) == "1.5 GB"
    assert metric("recall_at_1000").label == "R@1,000"
    assert metric("bit_entropy").write(-0.25) == "−.250"
    assert metric("n_distinct").label == "distinct"
    assert metric("n_distinct").write(11074.5) == "11,074.5"
    assert metric("n_distinct").write(0) == "0"
    assert metric("ndcg_at_100").write(None) == metric("ndcg_at_100").write(math.nan) == "–"
    assert metric("fit_seconds").less_is_better
    assert not metric("ndcg_at_100").less_is_better


@pytest.mark.parametrize("name", protocols())
def test_every_protocol_can_be_said(name):
    words = protocol_in_words(get_protocol(name).as_dict())
    assert "relevant if" in words
    assert ("first 1,000 ranks count" in words) == (get_protocol(name).cutoff == 1000)


def test_the_split_is_said(row):
    assert split_in_words(row) == (
        "179 queries from all items, which they leave, drawn with seed 0; 1,618 items to search "
        "in, all of them to learn from."
    )
    assert split_in_words({}) == "Queries from the data, drawn with seed 0."


@pytest.mark.parametrize("place", [0, 8, -1])
def test_the_command_asks_for_what_the_row_was_asked(results, place):
    row = results.rows()[place]
    (setting, *_) = [
        s for s in settings_of(results.rows()) if s.first["protocol"] == row["protocol"]
    ]
    line = command_line(row, [0, 1], setting.protocol)
    command = get_command(cli.app).commands["bench"]
    given = command.make_context("bench", shlex.split(line)[2:]).params
    asked = {"queries_from": given["queries_from"], "n_queries": given["queries"]}
    protocol, recipe = judgement(
        load_dataset(given["data"]), given["protocol"], given["split_seed"], asked
    )
    assert protocol.as_dict() == row["protocol"]
    assert recipe == SplitRecipe(**row["split"])
    assert (given["methods"], given["bits"], given["seeds"]) == (
        row["method"], str(row["n_bits"]), "0,1",
    )  # fmt: skip
    assert given["features"] == row["features"]
    sets = [f"{row['method']}.{key}={value}" for key, value in row["given"].items()]
    assert list(given["parameters"] or []) == sets


def test_a_command_cannot_break_out_of_its_line(row):
    line = command_line({**row, "dataset": "a; rm -rf $HOME"}, [0], None)
    assert shlex.split(line)[3] == "a; rm -rf $HOME"


# --- Curves and queries ---


def test_a_curve_is_the_mean_of_the_seeds_with_their_range(results):
    (setting, _) = settings_of(results.rows())
    summary = setting.find("ITQ", 16)
    line = lines_of(summary)["recall:10"]
    each = np.array([row["curves"]["recall_at_ranks"]["10"] for row in summary.rows])
    assert len(each) == 2
    assert line["x"] == summary.first["curves"]["ranks"]
    np.testing.assert_allclose(line["y"], each.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(line["low"], each.min(axis=0), rtol=1e-3)
    np.testing.assert_allclose(line["high"], each.max(axis=0), rtol=1e-3)
    by_rank = lines_of(summary)["by_rank"]
    recall = [row["curves"]["recall_at_ranks"]["100"] for row in summary.rows]
    np.testing.assert_allclose(by_rank["x"], np.mean(recall, axis=0), rtol=1e-3)


def test_pooled_curves_that_begin_at_different_radii_meet_at_their_ends(row):
    rows = [copy.deepcopy(row) for _ in range(2)]
    rows[0]["curves"]["pooled"] = {"recall": [0.1, 0.5, 1.0], "precision": [0.9, 0.5, 0.1]}
    rows[1]["curves"]["pooled"] = {"recall": [0.7, 1.0], "precision": [0.3, 0.3]}
    line = lines_of(Summary(tuple(rows)))["pooled"]
    np.testing.assert_allclose(line["x"], [0.6, 1.0])
    np.testing.assert_allclose(line["y"], [0.4, 0.2])


def test_what_a_row_lacks_is_left_out(row):
    summary = Summary((bare(row),))
    assert lines_of(summary) == distances_of(summary) == history_of(summary) == {}


def test_the_weight_of_a_query_is_its_share_of_what_all_retrieve(results):
    details = results.details(results.rows()[4]["id"])
    found = pooled_weights(details)
    total, radius = details["hits"].sum(), 0
    while details["hits"][:, : radius + 1].sum() < total / 2:
        radius += 1
    assert found.radius == radius
    pairs = details["retrieved"][:, : radius + 1].sum(axis=1, dtype=np.int64)
    heaviest = sorted(pairs, reverse=True)
    assert found.shares[100] == pytest.approx(1)
    n_queries = len(pairs)
    assert found.shares[50] == pytest.approx(
        (sum(heaviest[: n_queries // 2]) + heaviest[n_queries // 2] / 2) / sum(heaviest)
    )
    assert (np.diff(found.shares) >= 0).all()
    # the weighted mean of the tenths' precisions is the pooled precision
    tenths = [sum(part) for part in np.array_split(heaviest, 10)]
    pooled = details["hits"][:, : radius + 1].sum() / pairs.sum()
    assert np.average(found.precisions, weights=tenths) == pytest.approx(pooled)
    sizes = [len(part) for part in np.array_split(heaviest, 10)]
    assert np.average(found.average_precisions, weights=sizes) == pytest.approx(
        details["average_precision"].mean(dtype=np.float64)
    )


def test_a_querys_own_radius_is_where_it_has_found_half(results):
    details = results.details(results.rows()[4]["id"])
    found = pooled_weights(details)
    radii = []
    for hits in details["hits"].astype(int):
        seen = 0
        for radius, more in enumerate(hits):
            seen += more
            if 2 * seen >= hits.sum():
                radii.append(radius)
                break
    assert found.own_radius == pytest.approx(np.mean(radii))
    assert found.own_radius_spread == pytest.approx(np.std(radii))


def test_weights_need_details_and_queries():
    few = np.ones((3, 5), np.uint8)
    assert pooled_weights({}) is None
    assert pooled_weights({"retrieved": few, "hits": few, "average_precision": few[:, 0]}) is None


# --- Pictures ---


def test_retrieved_items_are_marked_by_label(results):
    (setting, _) = settings_of(results.rows())
    details = results.details(setting.find("LSH", 8).first["id"])
    gallery = make_gallery(setting, 8, [("LSH", details)])
    digits, split = setting.dataset, setting.split
    assert gallery.by_labels
    for i, answer in enumerate(gallery.answers):
        label = digits.y[split.queries[details["shown_queries"][i]]]
        found = digits.y[split.database[details["shown_ids"][i, :10]]]
        ((name, shots),) = answer.found
        assert name == "LSH"
        assert answer.query.text == str(label)
        assert [shot.is_right for shot in shots] == list(found == label)
        assert [shot.text for shot in shots] == [str(n) for n in found]
        assert [shot.distance for shot in shots] == details["shown_distances"][i, :10].tolist()


def test_the_sprite_holds_each_image_at_its_place(results):
    (setting, _) = settings_of(results.rows())
    details = results.details(setting.find("LSH", 8).first["id"])
    gallery = make_gallery(setting, 8, [("LSH", details)])
    raw = base64.b64decode(gallery.sprite.removeprefix("data:image/png;base64,"))
    sprite = np.asarray(Image.open(io.BytesIO(raw)))
    assert sprite.shape == (8 * gallery.rows, 8 * gallery.columns)
    shot = gallery.answers[3].found[0][1][2]
    top, left = 8 * (shot.place // gallery.columns), 8 * (shot.place % gallery.columns)
    row = setting.split.database[details["shown_ids"][3, 2]]
    image = setting.dataset.X[row].astype(int)
    np.testing.assert_array_equal(sprite[top : top + 8, left : left + 8], image * 255 // 16)


def test_a_map_puts_equal_codes_together_and_far_ones_apart():
    codes = np.repeat(np.array([[0, 0], [255, 255]], np.uint8), 30, axis=0)
    points = np.array(make_map(codes))
    assert points.min() == 0
    assert points.max() == 1000
    left, right = points[:30].mean(axis=0), points[30:].mean(axis=0)
    spread = max(points[:30].std(), points[30:].std())
    assert np.linalg.norm(left - right) > spread
    assert make_map(codes) == points.tolist()


def test_items_on_a_map_have_their_labels(results):
    (setting, _) = settings_of(results.rows())
    items = np.array([0, 5, 7])
    labels, names = map_labels(setting, items)
    digits = setting.dataset.y[setting.split.database[items]]
    assert [names[label] for label in labels] == [str(digit) for digit in digits]


# --- The page ---


def test_differences_are_those_of_the_paired_comparison(results):
    contents = Contents(results)
    setting = contents.settings[0]
    found = compare_summaries(
        results, setting.find("LSH", 16), setting.find("ITQ", 16), "mean_average_precision"
    )
    (table, *_) = contents.own()[0]["differences"]
    cell = table["lines"][0]["cells"][1]
    assert table["lines"][0]["label"] == "LSH"
    assert found.high < 0
    assert cell["mean"] == f"{found.difference:.3f}".replace("-0.", "−.")
    assert cell["sign"] == "▼"
    assert cell["interval"].split(" to ")[0] == f"{found.low:.3f}".replace("-0.", "−.")


def test_every_summary_can_be_opened_from_its_number(written, results):
    data = data_in(written[0])
    numbers = re.findall(r'class="number" data-summary="(\d+)" data-metric="(\w+)"', written[0])
    assert len(numbers) > 20
    for summary, name in numbers:
        assert name in data["summaries"][int(summary)]["values"]
    seeds = [run["seed"] for summary in data["summaries"] for run in summary["seeds"]]
    assert len(seeds) == len(results.rows())


def test_the_page_refers_to_nothing_outside(written):
    page = written[0]
    assert "http://" not in page
    assert "https://" not in page
    targets = re.findall(r"""(?:src|href)=["']?([^"'\s>]+)""", page)
    assert targets
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert all(target.startswith("data:") for target in re.findall(r"url\(([^)]+)\)", page))
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_the_page_holds_what_its_files_hold(written):
    assert (page_module.FOLDER / "page.js").read_text(encoding="utf-8") in written[0]
    assert (page_module.FOLDER / "page.css").read_text(encoding="utf-8") in written[0]
    assert {
        path.name for path in page_module.FOLDER.iterdir() if path.suffix not in (".py", "")
    } == (set(page_module.FILES))


def test_headings_are_in_order_and_heads_have_a_scope(written):
    levels = [int(level) for level in re.findall(r"<h([1-6])", written[0])]
    assert levels.count(1) == 1
    body = written[0].split("<main>")[1].split("</main>")[0]
    levels = [int(level) for level in re.findall(r"<h([1-6])", body)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", body))
    assert len(re.findall(r'id="([^"]+)"', written[0])) == len(
        set(re.findall(r'id="([^"]+)"', written[0]))
    )


def test_hostile_names_stay_text(row, tmp_path):
    names = {"dataset": HOSTILE, "features": HOSTILE, "method": HOSTILE, "given": {"a": HOSTILE}}
    facts = {**row["provenance"], "commit": HOSTILE, "processor": HOSTILE}
    inner = {"history": {HOSTILE: [1.0, 2.0]}, "bit_statistics": {HOSTILE: 1.0}}
    bad = {**row, **names, **inner, "provenance": facts}
    write_rows(tmp_path / "results", [bad])
    page, text = write_report(tmp_path / "results", tmp_path / "out", compare_with=[])
    page, text = page.read_text(encoding="utf-8"), text.read_text(encoding="utf-8")
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 2
    assert data_in(page)["summaries"][0]["label"] == f"{HOSTILE} (a={HOSTILE})"
    assert not re.search(r"(?<!\\)<img", text)


def test_a_page_of_bare_rows_leaves_out_what_is_not_there(row, tmp_path, written):
    rows = [bare(row, fingerprint="other"), bare(row, seed=1, fingerprint="other", scores={})]
    write_rows(tmp_path / "results", rows)
    page = write_report(tmp_path / "results", tmp_path / "out", compare_with=[])[0]
    parts = ("curves", "pooled", "learning", "distances", "maps", "found", "papers")
    for part in parts:
        assert f'<section id="{part}"' in written[0]
        assert f'id="{part}"' not in page.read_text(encoding="utf-8")
        assert f'href="#{part}"' not in page.read_text(encoding="utf-8")


def test_commits_that_differ_or_were_changed_are_warned_of(row, tmp_path):
    def warnings(*commits):
        rows = [{**bare(row), "seed": seed, "provenance": {"commit": commit}}
                for seed, commit in enumerate(commits)]  # fmt: skip
        folder = tmp_path / "-".join(commits)
        return Contents(write_rows(folder, rows)).overview()["warnings"]

    assert warnings("abc", "abc") == []
    assert "2 commits" in warnings("abc", "def")[0]
    assert "changed files" in warnings("abc+")[0]
    assert len(warnings("abc", "def+")) == 2


def test_data_that_is_not_here_is_named(row, tmp_path):
    rows = [bare(row), bare(row, fingerprint="other")]
    (warning,) = Contents(write_rows(tmp_path, rows[1:])).overview()["warnings"]
    assert warning.startswith("Without pictures and labels: digits was not here")
    assert Contents(write_rows(tmp_path / "here", rows[:1])).overview()["warnings"] == []


def test_methods_of_one_name_and_other_defaults_are_told_apart(row):
    rows = [bare(row), bare(row, parameters={**row["parameters"], "thresholds": "zero"})]
    (setting,) = settings_of(rows)
    assert setting.labels == ("LSH", "LSH #2")
    assert setting.find("LSH #2", 8).first["parameters"]["thresholds"] == "zero"


def test_a_protocol_without_a_name_is_said_to_have_none(row):
    protocol = Protocol(truth="euclidean", n_neighbors=7).as_dict()
    line = command_line({**row, "protocol": protocol}, [0], None)
    assert "--protocol" not in line
    assert "its protocol has no name" in line


def test_the_markdown_holds_the_same_numbers(written, results, paper):
    _, text = written
    (table, *_), _ = compare_with_papers(settings_of(results.rows()), [paper])
    cell = table.lines[0].cells[0]
    assert f"| LSH | .0123 | {cell.mean:.4f} ± {cell.deviation:.4f} ▲ |".replace("0.", ".") in text
    assert "| MLH (not here yet) | .2500 |  | .3500 |  |".replace("|  |", "| – |") in text
    assert "### digits (pixels), judged by labels" in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")


def test_what_cannot_be_reported_is_said(results, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no results: there is no row in rows\.jsonl"):
        write_report(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file; a report is a folder"):
        write_report(results.folder, tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="results are kept in a folder"):
        write_report(tmp_path / "file", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"the folder .*absent does not exist"):
        write_report(results.folder, tmp_path / "absent" / "out")
    assert not (tmp_path / "out").exists()


def test_without_jinja_the_extra_is_named(results, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[report\]'"):
        write_report(results.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
