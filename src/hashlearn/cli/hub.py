"""Models to the Hugging Face Hub and back."""

from pathlib import Path
from typing import Annotated

import typer

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import progress, report


def push(
    model: Annotated[Path, typer.Argument(help="File of `hashlearn fit`.")],
    repository: Annotated[str, typer.Argument(help="Its name on the Hub, as org/name.")],
    data: Annotated[str | None, typer.Option(help="For the card: what it learned from.")] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="For the card: licence of the model, as mit.")
    ] = None,
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Who sees a repository that is made.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a model with a model card into a repository of the Hugging Face Hub.

    The repository is made where it is missing; in one that is there, the files of these names are
    replaced. The access token is the one that `hf auth login` stored, or HF_TOKEN. Scores go onto
    the card in Python: `hashlearn.integrations.hub.push_to_hub`.

    Example: `hashlearn push photos.model org/photo-codes --license mit`
    """  # numpydoc ignore=PR01
    from hashlearn.integrations.hub import push_to_hub
    from hashlearn.models import load

    facts = {"data": data, "license": license_}
    card = {name: fact for name, fact in facts.items() if fact is not None}
    url = push_to_hub(load(model), repository, private=private, card=card)
    report({"commit": url}, f"{model} is on the Hub: {url}", as_json=as_json)


def pull(
    repository: Annotated[
        str, typer.Argument(help="Its name on the Hub, as org/name, or a folder of such files.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the model.")],
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    as_json: AsJson = False,
) -> None:
    """Get a model from a repository of the Hugging Face Hub.

    Example: `hashlearn pull org/photo-codes -o photos.model`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output
    from hashlearn.integrations.hub import from_pretrained
    from hashlearn.models import hasher_of, save

    check_output(output)
    progress(f"reading {repository}")
    model = from_pretrained(repository, revision=revision)
    save(model, output)
    hasher = hasher_of(model)
    name = type(hasher).__name__
    report(
        {"model": str(output), "method": name.lower(), "n_bits": hasher.n_bits},
        f"{name} with {hasher.n_bits} bits from {repository}: {output}",
        as_json=as_json,
    )
