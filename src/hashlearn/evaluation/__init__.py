"""Station 7: what the codes are worth, under a protocol that names everything that moves a number.

The functions here see results and ground truth only, so they judge the output of any program.
"""

from hashlearn.evaluation.evaluate import Scores, evaluate
from hashlearn.evaluation.ground_truth import (
    GroundTruth,
    LabelTruth,
    NeighborTruth,
    euclidean_neighbors,
)
from hashlearn.evaluation.metrics import (
    Rankings,
    mean_over_queries,
    pooled_pr_area,
    pooled_pr_curve,
)
from hashlearn.evaluation.protocol import Protocol, get_protocol, protocols

__all__ = [
    "GroundTruth",
    "LabelTruth",
    "NeighborTruth",
    "Protocol",
    "Rankings",
    "Scores",
    "euclidean_neighbors",
    "evaluate",
    "get_protocol",
    "mean_over_queries",
    "pooled_pr_area",
    "pooled_pr_curve",
    "protocols",
]
