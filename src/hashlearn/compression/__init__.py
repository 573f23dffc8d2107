"""Compression: from vectors to the codes that lose least, and what they are worth."""

from hashlearn.compression.compressing import Compressed, Measured, compress

__all__ = ["Compressed", "Measured", "compress"]
