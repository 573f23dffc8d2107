"""The pages that people see."""

from fastapi import FastAPI


def add_pages(app: FastAPI) -> None:
    """Add the pages to an application.

    Parameters
    ----------
    app : FastAPI
        Application over collections.
    """
    app.state.pages = ()
