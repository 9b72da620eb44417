"""Fakes, builders and helpers that several tests share; README.md says which module is for which test."""
