"""Write the generated parts of the documentation: methods in README.md, tables of results.

Run by `make docs`; `python docs/generate.py --check` fails if a file is not up to date.
"""

import sys
from functools import partial
from pathlib import Path

import embeddings_report
import results_report
import search_report

from hashlearn.hashers import methods
from hashlearn.storage import replacing

ROOT = Path(__file__).parent.parent


def methods_table() -> str:
    """Make the table of methods, in Markdown."""
    lines = ["| name | method | learns from | idea | reference |", "| --- " * 5 + "|"]
    for method in methods():
        learns_from = "vectors" if method.supervision == "none" else method.supervision
        cells = (
            f"[`{method.name}`](src/{method.module.replace('.', '/')}.py)",
            method.class_name + (" (needs torch)" if method.family == "deep" else ""),
            learns_from,
            method.summary,
            method.reference,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_part(document: str, name: str, part: str) -> str:
    """Put a generated part between the two marks that have its name."""
    start, end = f"<!-- {name}: written by `make docs` -->", f"<!-- end of {name} -->"
    before, rest = document.split(start)
    after = rest.split(end)[1]
    return f"{before}{start}\n{part}\n{end}{after}"


PARTS = {
    ROOT / "README.md": {"methods": methods_table},
    ROOT / "docs/results.md": {
        "neighbors": results_report.neighbors,
        "vectors": results_report.vectors,
        "sigah": partial(results_report.ablations, "sigah"),
        "neighbormatching": partial(results_report.ablations, "neighbormatching"),
        "labels": results_report.labels,
        "supervised": results_report.supervised,
        "networkfeatures": results_report.network_features,
        "rounds": results_report.rounds,
        "fewlabels": results_report.few_labels,
        "generative": results_report.generative,
        "latentcodes": results_report.latent_codes,
        "texts": results_report.texts,
    },
    ROOT / "docs/search.md": {"search": search_report.report},
    ROOT / "docs/choosing.md": {
        "recalls": embeddings_report.tables,
        "differences": embeddings_report.differences,
    },
}


def generate(path: Path) -> str:
    """Make a document anew."""
    document = path.read_text(encoding="utf-8")
    for name, make in PARTS[path].items():
        document = with_part(document, name, make())
    return document


if __name__ == "__main__":
    for path in PARTS:
        new = generate(path)
        is_new = new != path.read_text(encoding="utf-8")
        if "--check" in sys.argv and is_new:
            sys.exit(f"{path.name} is not up to date: run `make docs`")
        if is_new:
            with replacing(path) as temporary:
                temporary.write_text(new, encoding="utf-8")
