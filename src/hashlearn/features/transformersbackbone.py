"""Images or texts to features of a network that the package transformers loads."""

from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.features._torch import check_name, find_device, quietly, to_arrays, to_tensors
from hashlearn.features.backbone import Backbone, Batch, Kind, Network, picture

Pooling = Literal["pooler", "mean", "cls"]

_POOLINGS = ("pooler", "mean", "cls")
_LONGEST = 512  # tokens, where neither tokenizer nor network has a limit
_NO_LIMIT = 10**6  # tokens; transformers writes 1e30 for "none"


class TransformersBackbone(Backbone):
    """Compute features of images or texts with a network of the package transformers.

    The network, its image processor and its tokenizer are those of ``AutoModel``,
    ``AutoImageProcessor`` and ``AutoTokenizer``. A network of images and texts, such as CLIP, gives
    the features in which the two can be compared.

    Parameters
    ----------
    model : str or path-like
        A folder, or a name on the Hugging Face hub, which is downloaded once.
    pooling : {"pooler", "mean", "cls"}, default=None
        What makes one row of an item: the network's own summary; the mean over the tokens of a
        text, over the patches of an image or over space; or its first token. None is, for texts,
        the mean, and for images the summary if the network has one, otherwise the mean. For a
        network such as CLIP it must be None.
    batch_size : int, default=32
        Items that the network is given at a time. More need more memory.
    device : str, default="auto"
        Device that the network runs on; ``"auto"`` is a GPU if there is one.

    Attributes
    ----------
    pooling_ : str
        What makes one row: ``"pooler"``, ``"mean"``, ``"cls"``, or ``"joint"`` for the features in
        which images and texts can be compared.
    item_kind_ : str
        What the network is given: ``"images"`` or ``"texts"``.
    n_features_out_ : int
        Number of features.

    Notes
    -----
    1. A saved model holds the name or the folder, not the network: it must be there, or be
       downloaded, where the model is loaded.
    2. Weights are read from safetensors files only, and code that comes with a network is not run.
    3. A summary whose weights the files do not hold would be random: it is not taken. A network
       that lacks other weights is refused.
    4. Images are prepared by Pillow even where torchvision is installed, so that features do not
       depend on that. Texts are cut to the longest that the tokenizer or the network takes.
    """

    pooling_: str

    def __init__(
        self,
        model: Any,
        *,
        pooling: Pooling | None = None,
        batch_size: int = 32,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.pooling = pooling
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
        if self.pooling is not None and self.pooling not in _POOLINGS:
            raise ValueError(
                f"pooling must be None or one of {', '.join(_POOLINGS)}; got {self.pooling!r}"
            )
        network = _TransformersNetwork(str(self.model), kind, self.pooling, self.device)
        self.pooling_ = network.pooling
        return network

    def _load(self) -> Network:
        pooling = None if self.pooling_ == "joint" else self.pooling_
        return _TransformersNetwork(str(self.model), self.item_kind_, pooling, self.device)


class _TransformersNetwork(Network):
    def __init__(self, name: str, kind: Kind, pooling: str | None, device: str) -> None:
        try:
            import transformers
        except ImportError as error:
            raise ImportError(
                "networks of transformers need it and torch: pip install 'hashlearn[transformers]'"
            ) from error
        self.name, self.kind = name, kind
        self.device = find_device(device)
        with quietly():
            self.processor = self._load_processor(transformers)
            model, info = self._load_model(transformers)
        self.model = model.eval().to(self.device)
        self.lock = Lock()  # a tokenizer that two threads use at once raises an error
        missing = {key for key in info["missing_keys"] if "pooler" not in key}
        joint = hasattr(model, "get_image_features") and hasattr(model, "get_text_features")
        has_pooler = not joint and missing == set(info["missing_keys"])
        if missing:
            raise ValueError(
                f"{name} lacks weights of its network ({', '.join(sorted(missing)[:3])}, ...): "
                "they would be random"
            )
        self.pooling = self._choose_pooling(pooling, joint=joint, has_pooler=has_pooler)
        self.max_length = self._find_longest() if kind == "texts" else None

    def _load_processor(self, transformers: Any) -> Any:
        # from its module: by the short name, some versions want torchvision even for Pillow
        from transformers.models.auto.image_processing_auto import AutoImageProcessor

        try:
            if self.kind == "images":
                return AutoImageProcessor.from_pretrained(self.name, backend="pil")
            return transformers.AutoTokenizer.from_pretrained(self.name)
        except (OSError, ValueError, KeyError) as error:
            what = "image processor" if self.kind == "images" else "tokenizer"
            raise ValueError(
                f"{self.name} cannot be loaded, or does not take {self.kind}: no {what} was found "
                f"({error})"
            ) from error

    def _load_model(self, transformers: Any) -> tuple[Any, dict[str, Any]]:
        try:
            return transformers.AutoModel.from_pretrained(  # type: ignore[no-any-return]
                self.name, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{self.name} cannot be loaded as a network: {error}") from error

    def _choose_pooling(self, wanted: str | None, *, joint: bool, has_pooler: bool) -> str:
        if joint:
            if wanted is not None:
                raise ValueError(
                    f"{self.name} has features of its own for images and texts: pooling must be "
                    f"None, got {wanted!r}"
                )
            return "joint"
        has_pooler = has_pooler and self._gives_pooler()
        if wanted == "pooler" and not has_pooler:
            raise ValueError(f"{self.name} has no summary of an item: choose mean or cls")
        if wanted is not None:
            return wanted
        return "pooler" if self.kind == "images" and has_pooler else "mean"

    def _gives_pooler(self) -> bool:
        from PIL import Image

        item = Image.new("RGB", (64, 64)) if self.kind == "images" else "a"
        made = self.processor([item], return_tensors="np")
        return getattr(self._forward(made), "pooler_output", None) is not None

    def _find_longest(self) -> int:
        config = getattr(self.model.config, "text_config", self.model.config)
        limit = self.processor.model_max_length
        if limit >= _NO_LIMIT:
            limit = getattr(config, "max_position_embeddings", None) or _LONGEST
        return int(limit)

    def prepare(self, items: list[Any]) -> dict[str, NDArray[Any]]:
        """Make what the network takes, by its own processor or tokenizer."""
        if self.kind == "images":
            pictures = [picture(item, "RGB") for item in items]
            with self.lock:
                return to_arrays(self.processor(pictures, return_tensors="np"))
        tokenizer = self.processor
        with self.lock:
            if tokenizer.pad_token is None:  # any token does where it is masked
                tokenizer.pad_token = tokenizer.eos_token
            made = tokenizer(
                items, padding=True, truncation=True, max_length=self.max_length,
                return_tensors="np",
            )  # fmt: skip
        return to_arrays(made)

    def compute(self, inputs: Batch) -> NDArray[Any]:
        """Run, and make one row an item."""
        output = self._forward(inputs)
        if self.pooling in ("joint", "pooler"):
            # get_image_features gave the features themselves in older versions
            rows = getattr(output, "pooler_output", output).flatten(1)
        else:
            states = output.last_hidden_state
            rows = self._pool(states, inputs)
        return rows.float().cpu().numpy()  # type: ignore[no-any-return]

    def _forward(self, inputs: Any) -> Any:
        import torch

        given = to_tensors(inputs, self.device)
        with torch.inference_mode():
            if getattr(self, "pooling", None) != "joint":
                return self.model(**given)
            if self.kind == "images":
                return self.model.get_image_features(**given)
            return self.model.get_text_features(**given)

    def _pool(self, states: Any, inputs: Batch) -> Any:
        """Give the first token, or the mean: of the text, of the patches, or over space."""
        import torch

        if states.ndim == 4:
            return states.mean(dim=(2, 3))
        if self.pooling == "cls":
            return states[:, 0]
        if self.kind == "texts":
            mask = torch.from_numpy(np.asarray(inputs["attention_mask"])).to(states)
            sums = torch.einsum("ntd,nt->nd", states, mask)
            return sums / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return states[:, self._n_before_patches(states.shape[1], inputs) :].mean(dim=1)

    def _n_before_patches(self, n_tokens: int, inputs: Batch) -> int:
        """Count the tokens, before those of patches, that stand for the whole image."""
        side = getattr(self.model.config, "patch_size", None)
        if not isinstance(side, int):
            return 0
        height, width = inputs["pixel_values"].shape[-2:]
        return max(0, n_tokens - int(height // side) * int(width // side))
