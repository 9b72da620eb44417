"""Mutation testing: which mistakes in pure code no unit test notices."""
