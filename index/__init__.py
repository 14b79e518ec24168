"""Catalogues in, candidates out."""
