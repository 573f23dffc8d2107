"""Station 7: what the codes are worth, under a protocol that names everything that moves a number.

The functions here see results and ground truth only, so they judge the output of any program.
"""

from hashlearn.evaluation.bits import BitStatistics, bit_statistics
from hashlearn.evaluation.comparison import (
    Comparison,
    compare,
    compare_pooled_areas,
    compare_values,
)
from hashlearn.evaluation.conventions import mean_over_queries
from hashlearn.evaluation.curves import (
    Lookup,
    distance_distributions,
    f1_score,
    lookup,
    pr_curve_by_radius,
    pr_curve_by_rank,
    precision_at_ranks,
    recall_at_ranks,
)
from hashlearn.evaluation.evaluate import Scores, evaluate
from hashlearn.evaluation.ground_truth import (
    GroundTruth,
    LabelTruth,
    NeighborTruth,
    euclidean_neighbors,
)
from hashlearn.evaluation.metrics import Rankings
from hashlearn.evaluation.pooled import pooled_pr_area, pooled_pr_areas, pooled_pr_curve
from hashlearn.evaluation.protocol import Protocol, get_protocol, protocols
from hashlearn.evaluation.ties import TieGroups

__all__ = [
    "BitStatistics",
    "Comparison",
    "GroundTruth",
    "LabelTruth",
    "Lookup",
    "NeighborTruth",
    "Protocol",
    "Rankings",
    "Scores",
    "TieGroups",
    "bit_statistics",
    "compare",
    "compare_pooled_areas",
    "compare_values",
    "distance_distributions",
    "euclidean_neighbors",
    "evaluate",
    "f1_score",
    "get_protocol",
    "lookup",
    "mean_over_queries",
    "pooled_pr_area",
    "pooled_pr_areas",
    "pooled_pr_curve",
    "pr_curve_by_radius",
    "pr_curve_by_rank",
    "precision_at_ranks",
    "protocols",
    "recall_at_ranks",
]
