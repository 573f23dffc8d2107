"""Methods in NumPy and SciPy, one file a paper."""
