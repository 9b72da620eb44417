"""The HTTP side: endpoints, what surrounds each request, and the process that serves them."""
