"""Fitted models elsewhere, one file an integration; each imports its library when it is used."""
