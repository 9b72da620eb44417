"""The kopf edge: what the watches bring goes into the store, and the resource concerned into the queue."""
