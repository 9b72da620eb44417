"""Processors, memory and thread priorities of the container."""
