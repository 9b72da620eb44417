"""The queue, the workers, and the reconcile of one resource: observe, decide, apply, report."""
