"""Methods in PyTorch, one file a paper."""
