"""Data types: the resource's spec and status, what was observed, names of labels, annotations and conditions."""
