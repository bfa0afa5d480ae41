"""Faces on disk (or embedded) to LQ/HQ batches."""
