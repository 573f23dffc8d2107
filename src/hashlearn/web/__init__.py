"""Collections over HTTP: an application, its limits, and a server for it.

This needs the extra ``serve``; nothing else in the package imports it.
"""
