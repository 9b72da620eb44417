"""Weights on disk: downloaded once, verified, named by their content."""
