"""Weights on disk: downloaded once, verified, addressed by what they contain."""
