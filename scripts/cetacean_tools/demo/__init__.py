"""The main job, shown step by step on a real cluster: `make demo`.

The end-to-end tests install and use the same `environment`.
"""
