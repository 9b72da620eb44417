"""Metrics, drift and the monitoring file."""
