"""The text of `models/registry.json`: the position of its values, its faults, and edits that keep the rest."""
