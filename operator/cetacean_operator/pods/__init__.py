"""Requests to pods, and their responses: the model that they serve, their metrics and drift statistics."""
