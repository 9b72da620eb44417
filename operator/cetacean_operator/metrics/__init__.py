"""Prometheus metrics of the operator and of each CetaceanModel."""
