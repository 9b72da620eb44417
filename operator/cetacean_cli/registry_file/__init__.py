"""`models/registry.json` as a text: where its parts stand, what is wrong with it, and edits that touch nothing else."""
