"""Station 5: an index of packed codes that answers exactly which ones are nearest.

Distances come from the compiled kernel where it was built, else from NumPy; the environment
variable ``HASHLEARN_KERNEL=numpy`` asks for NumPy. Results are the same.
"""

from hashlearn.index.counts import count_distances
from hashlearn.index.hamming import HammingIndex

__all__ = ["HammingIndex", "count_distances"]
