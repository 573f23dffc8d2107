"""Texts, or images, to embeddings of a network that sentence-transformers loads."""

from threading import Lock
from typing import Any

from numpy.typing import NDArray

from hashlearn.features._torch import check_name, find_device, quietly, to_arrays, to_tensors
from hashlearn.features.backbone import Backbone, Batch, Kind, Network, picture


class SentenceTransformersBackbone(Backbone):
    """Compute embeddings of texts, or of images, with a network of sentence-transformers.

    What its ``encode`` gives: tokens, network, pooling, and whatever else the network ends in, such
    as rows of length 1.

    Parameters
    ----------
    model : str or path-like
        A folder, or a name on the Hugging Face hub, which is downloaded once.
    batch_size : int, default=32
        Items that the network is given at a time. More need more memory.
    device : str, default="auto"
        Device that the network runs on; ``"auto"`` is a GPU if there is one.

    Attributes
    ----------
    item_kind_ : str
        What the network is given: ``"images"`` or ``"texts"``.
    n_features_out_ : int
        Number of features.

    Notes
    -----
    A saved model holds the name or the folder, not the network: it must be there, or be downloaded,
    where the model is loaded. Weights are read from safetensors files only, and code that comes
    with a network is not run. Where the network has a prompt that it puts before every text, so is
    it here.
    """

    def __init__(self, model: Any, *, batch_size: int = 32, device: str = "auto") -> None:
        self.model = model
        self.batch_size = batch_size
        self.device = device

    def check_source(self) -> None:
        """Look whether the folder is there, if the name can only be that of a folder.

        Raises
        ------
        FileNotFoundError
            If it is not.
        """
        check_name(self.model)

    def _learn(self, kind: Kind) -> Network:
        return _SentenceNetwork(str(self.model), kind, self.device)

    def _load(self) -> Network:
        return _SentenceNetwork(str(self.model), self.item_kind_, self.device)


class _SentenceNetwork(Network):
    def __init__(self, name: str, kind: Kind, device: str) -> None:
        try:
            import sentence_transformers
        except ImportError as error:
            raise ImportError(
                "networks of sentence-transformers need it and torch: "
                "pip install 'hashlearn[transformers]'"
            ) from error
        self.kind = kind
        self.device = find_device(device)
        try:
            with quietly():
                self.model = sentence_transformers.SentenceTransformer(
                    name, device=str(self.device), model_kwargs={"use_safetensors": True}
                ).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{name} cannot be loaded as a network: {error}") from error
        if not self.model.supports("text" if kind == "texts" else "image"):
            raise ValueError(f"{name} does not take {kind}; it takes: {self.model.modalities}")
        self.prompt = self.model.prompts.get(self.model.default_prompt_name or "")
        self.lock = Lock()  # a tokenizer that two threads use at once raises an error

    def prepare(self, items: list[Any]) -> dict[str, NDArray[Any]]:
        """Make what the network takes, as ``encode`` does."""
        if self.kind == "images":
            items = [picture(item, "RGB") for item in items]
        with self.lock:
            return to_arrays(self.model.preprocess(items, prompt=self.prompt))

    def compute(self, inputs: Batch) -> NDArray[Any]:
        """Run all parts of the network, as ``encode`` does."""
        import torch

        with torch.inference_mode():
            rows = self.model(to_tensors(inputs, self.device))["sentence_embedding"]
        # a network may be trained so that its first features suffice
        return rows[:, : self.model.truncate_dim].float().cpu().numpy()  # type: ignore[no-any-return]
