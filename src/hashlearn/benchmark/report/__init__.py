"""A folder of results as one page that reads anywhere, and as Markdown."""

from hashlearn.benchmark.report.page import write_report

__all__ = ["write_report"]
