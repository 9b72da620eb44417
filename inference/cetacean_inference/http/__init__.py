"""HTTP: endpoints, middleware for requests, and the process that serves them."""
