"""Pure functions: from a resource, what was observed and the time to children, status and events."""
