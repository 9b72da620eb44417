"""Sends copies of answered pictures to a candidate, and counts how its answers differ from those of the served model.

The idea is that of Diffy: a part of the pictures also goes to another pod of the served model, which shows how often
what serves disagrees with itself.
"""
