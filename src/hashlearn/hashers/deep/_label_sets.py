"""Labels from which triplets are drawn: an item, one with the same labels, one with others."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class LabelSets(NamedTuple):
    """Hold labels such that triplets can be drawn: items with the same labels are a set.

    Parameters
    ----------
    Y : Tensor of shape (n, n_labels), float32
        0 and 1; a row of zeros is an item without labels.
    sets : Tensor of shape (n_sets, n_labels), float32
        The rows of `Y` that differ, without that of zeros.
    counts : Tensor of shape (n_sets,), int64
        Items in each set.
    rows : Tensor of shape (n_labelled,), int64
        Labelled items, set after set.
    unlabelled : Tensor of shape (n - n_labelled,), int64
        The others.
    """

    Y: Tensor
    sets: Tensor
    counts: Tensor
    rows: Tensor
    unlabelled: Tensor

    @classmethod
    def of(cls, Y: NDArray[Any]) -> "LabelSets":
        """Sort items by their labels, a matrix of 0 and 1 with a row for each."""
        is_labelled = Y.any(axis=1)
        labelled = np.flatnonzero(is_labelled)
        sets, numbers, counts = np.unique(
            Y[labelled], axis=0, return_inverse=True, return_counts=True
        )
        if len(sets) < 2:
            raise ValueError(
                f"labels must be of 2 classes or more, got {len(sets)}: {len(labelled)} of "
                f"{len(Y)} items are labelled"
            )
        rows = labelled[np.argsort(numbers.reshape(-1), kind="stable")]
        return cls(
            torch.tensor(Y, dtype=torch.float32),
            torch.tensor(sets, dtype=torch.float32),
            torch.tensor(counts),
            torch.tensor(rows),
            torch.tensor(np.flatnonzero(~is_labelled)),
        )

    def to(self, device: torch.device) -> "LabelSets":
        """Move all parts to a device."""
        return LabelSets(*(part.to(device) for part in self))

    def draw(self, n_items: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw labelled items: their rows, their sets, and of each a set of other labels.

        That is one of those that share the fewest labels with the item's own, drawn by its size.
        """
        places = torch.randint(len(self.rows), (n_items,), device=self.rows.device)
        own = torch.searchsorted(self.counts.cumsum(0), places, right=True)
        shared = self.sets.index_select(0, own) @ self.sets.T
        shared.scatter_(1, own[:, None], torch.inf)
        fewest = shared == shared.amin(dim=1, keepdim=True)
        other = torch.multinomial(fewest * self.counts.float(), 1)[:, 0]
        return self.rows.index_select(0, places), own, other

    def rows_of(self, sets: Tensor) -> Tensor:
        """Draw the row of an item of each of some sets."""
        ends, counts = (part[sets] for part in (self.counts.cumsum(0), self.counts))
        within = (torch.rand(len(sets), device=sets.device) * counts).long()
        return self.rows[ends - counts + within.minimum(counts - 1)]

    def draw_unlabelled(self, n_items: int) -> Tensor:
        """Draw rows of unlabelled items; none if all are labelled."""
        n_unlabelled = len(self.unlabelled)
        if not n_unlabelled:
            return self.unlabelled
        return self.unlabelled[torch.randint(n_unlabelled, (n_items,), device=self.Y.device)]
