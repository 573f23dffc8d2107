"""Write the generated parts of the documentation: the table of methods in README.md.

Run by `make docs`; `python docs/generate.py --check` fails if the file is not up to date.
"""

import sys
from pathlib import Path

from hashlearn.hashers import methods
from hashlearn.storage import replacing

README = Path(__file__).parent.parent / "README.md"
START = "<!-- methods: written by `make docs` -->"
END = "<!-- end of methods -->"


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


def with_table(readme: str) -> str:
    """Put the table of methods between its two marks."""
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{methods_table()}\n{END}{after}"


if __name__ == "__main__":
    old = README.read_text(encoding="utf-8")
    new = with_table(old)
    if "--check" in sys.argv and new != old:
        sys.exit("README.md is not up to date: run `make docs`")
    if new != old:
        with replacing(README) as temporary:
            temporary.write_text(new, encoding="utf-8")
