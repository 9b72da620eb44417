"""The main job, shown step by step on a real cluster: `python -m cetacean_tools.demo`.

`environment` is also what the end-to-end tests install and talk to.
"""
