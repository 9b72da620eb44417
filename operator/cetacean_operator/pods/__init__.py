"""Questions to the pods: what they serve, their figures, their state."""
