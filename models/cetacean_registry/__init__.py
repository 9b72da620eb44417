"""The format of the model registry: `models/registry.json` and its metrics snapshots.

The operator and the inference service share only this package. It reads files and compares figures; it does not know
Kubernetes.

Import from its modules: a pod that serves needs few of them, and all together take a fifth of a second.
"""
