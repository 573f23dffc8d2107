"""Station 3: the methods. A table of names; a class is imported when it is asked for."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hashlearn.hashers.base import Hasher

__all__ = ["Method", "get_method", "methods"]


@dataclass(frozen=True)
class Method:
    """Describe a method without importing it.

    Parameters
    ----------
    name : str
        Name in the table and of its file, lower case.
    class_name : str
        The literature's acronym; a name in words where the method is this library's own.
    family : {"shallow", "deep"}
        Folder of its file; deep methods need the extra ``torch``.
    supervision : {"none", "labels"}
        What ``fit`` needs besides vectors.
    summary : str
        The idea in a few words.
    reference : str
        Author, year and venue, or ``"this library"``.
    """

    name: str
    class_name: str
    family: Literal["shallow", "deep"]
    supervision: Literal["none", "labels"]
    summary: str
    reference: str

    @property
    def module(self) -> str:
        """Name of the module that holds the class."""
        return f"hashlearn.hashers.{self.family}.{self.name}"

    @property
    def has_paper(self) -> bool:
        """Whether a paper proposes the method, or this library does."""
        return self.reference != "this library"


_METHODS = {
    method.name: method
    for method in (
        Method("lsh", "LSH", "shallow", "none", "random hyperplanes", "Charikar 2002, STOC"),
        Method(
            "itq", "ITQ", "shallow", "none", "rotated principal components",
            "Gong and Lazebnik 2011, CVPR",
        ),
        Method("sh", "SH", "shallow", "none", "waves along principal components",
               "Weiss et al. 2008, NIPS"),
        Method("sph", "SpH", "shallow", "none", "balls for bits", "Heo et al. 2012, CVPR"),
        Method(
            "qolsh", "QoLSH", "shallow", "none", "random frame, signs improved bit by bit",
            "Balu, Furon and Jegou 2014, ICASSP",
        ),
        Method(
            "agh", "AGH", "shallow", "none", "smoothest functions on a graph of anchors",
            "Liu et al. 2011, ICML",
        ),
        Method(
            "ba", "BA", "shallow", "none", "binary autoencoder, its codes held as variables",
            "Carreira-Perpinan and Raziperchikolaei 2015, CVPR",
        ),
        Method(
            "och", "OCH", "shallow", "none", "orders of distances between landmarks",
            "Liu et al. 2017, AAAI",
        ),
        Method(
            "sttm", "STTM", "shallow", "labels", "factorised tags near topics, for texts",
            "Wang et al. 2013, SIGIR",
        ),
        Method(
            "sgh", "SGH", "deep", "none", "shortest description by a linear decoder",
            "Dai et al. 2017, ICML",
        ),
        Method(
            "sigah", "SiGAH", "deep", "none", "sparse generator against an energy discriminator",
            "Liu et al. 2023, arXiv 2306.06928",
        ),
        Method(
            "cnnh", "CNNH", "deep", "labels", "factorised similarity of labels, then a network",
            "Xia et al. 2014, AAAI",
        ),
        Method(
            "csq", "CSQ", "deep", "labels", "a centre for each label, far from the others",
            "Yuan et al. 2020, CVPR",
        ),
        Method(
            "cibhash", "CIBHash", "deep", "none", "codes of two views of an item agree",
            "Qiu et al. 2021, IJCAI",
        ),
        Method(
            "dh", "DH", "deep", "none", "tanh layers near their signs, perpendicular",
            "Liong et al. 2015, CVPR",
        ),
        Method(
            "dbdmq", "DBDMQ", "deep", "none", "two auto-encoders of an element instead of a sign",
            "Duan et al. 2017, CVPR",
        ),
        Method(
            "deepbit", "DeepBit", "deep", "none", "sure and even bits, the same of turned images",
            "Lin et al. 2016, CVPR",
        ),
        Method(
            "bingan", "BinGAN", "deep", "none", "codes as near as a discriminator's features",
            "Zieba et al. 2018, NeurIPS",
        ),
        Method(
            "bgan", "BGAN", "deep", "none", "neighbours agree, and a generator draws them",
            "Song 2018, AAAI",
        ),
        Method(
            "bihalf", "BiHalf", "deep", "none", "cosines kept by bits set for half of a batch",
            "Li and van Gemert 2021, AAAI",
        ),
        Method(
            "dshgan", "DSHGAN", "deep", "labels",
            "triplets with synthetic images of each class, from few labels",
            "Qiu et al. 2017, SIGIR",
        ),
        Method(
            "greedyhash", "GreedyHash", "deep", "none", "cosines kept, learned through the sign",
            "Su et al. 2018, NeurIPS",
        ),
        Method(
            "supervisedgreedyhash", "SupervisedGreedyHash", "deep", "labels",
            "codes that a linear classifier reads, learned through the sign",
            "Su et al. 2018, NeurIPS",
        ),
        Method(
            "hashgandizaji", "HashGANDizaji", "deep", "none", "sure bits of a discriminator",
            "Ghasedi Dizaji et al. 2018, CVPR",
        ),
        Method(
            "neighbormatching", "NeighborMatching", "deep", "none",
            "neighbours of codes as those of vectors", "this library",
        ),
        Method(
            "pgh", "PGH", "deep", "none", "weak codes improved in rounds by images made of them",
            "Ma et al. 2018, IJCAI",
        ),
        Method(
            "tbh", "TBH", "deep", "none", "an autoencoder's values averaged over near codes",
            "Shen et al. 2020, CVPR",
        ),
        Method(
            "latenthasher", "LatentHasher", "deep", "none",
            "values that a generative model keeps, rotated", "this library",
        ),
    )
}  # fmt: skip


def methods() -> tuple[Method, ...]:
    """List all methods.

    Returns
    -------
    tuple of Method
        The table.

    Examples
    --------
    >>> [method.class_name for method in methods()][:2]
    ['LSH', 'ITQ']
    """
    return tuple(_METHODS.values())


def get_method(name: str) -> "type[Hasher]":
    """Import a method's class by its name.

    Parameters
    ----------
    name : str
        Name in the table, in any case.

    Returns
    -------
    type
        The class, a subclass of :class:`~hashlearn.hashers.base.Hasher`.

    Raises
    ------
    ValueError
        If there is no such method.
    ImportError
        If the method needs an extra that is not installed; the message says how to install it.

    Examples
    --------
    >>> get_method("itq")(n_bits=16)
    ITQ(n_bits=16)
    """
    method = _METHODS.get(name.lower())
    if method is None:
        raise ValueError(f"unknown method {name!r}; there are: {', '.join(_METHODS)}")
    try:
        module = import_module(method.module)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(
            f"{method.class_name} needs PyTorch: pip install 'hashlearn[torch]'"
        ) from error
    hasher: type[Hasher] = getattr(module, method.class_name)
    return hasher
