"""Station 7: what the codes are worth, under a protocol that names everything that moves a number.

The functions here see results and ground truth only, so they judge the output of any program.
"""

from hashlearn.evaluation.conventions import mean_over_queries
from hashlearn.evaluation.curves import pooled_pr_area, pooled_pr_curve
from hashlearn.evaluation.evaluate import Scores, evaluate
from hashlearn.evaluation.ground_truth import (
    GroundTruth,
    LabelTruth,
    NeighborTruth,
    euclidean_neighbors,
)
from hashlearn.evaluation.metrics import Rankings
from hashlearn.evaluation.protocol import Protocol, get_protocol, protocols
from hashlearn.evaluation.ties import TieGroups

__all__ = [
    "GroundTruth",
    "LabelTruth",
    "NeighborTruth",
    "Protocol",
    "Rankings",
    "Scores",
    "TieGroups",
    "euclidean_neighbors",
    "evaluate",
    "get_protocol",
    "mean_over_queries",
    "pooled_pr_area",
    "pooled_pr_curve",
    "protocols",
]
