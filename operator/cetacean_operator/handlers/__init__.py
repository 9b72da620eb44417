"""The kopf handlers, and the middleware and settings that kopf runs with."""
