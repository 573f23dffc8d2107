"""Compression: from vectors to the codes that lose least, and what they are worth."""
