"""A real Kubernetes cluster for tests and demonstrations; README.md describes it.

`use.choose` takes the user's own cluster if its context is named, else kind if Docker runs, else a cluster built
from Go modules and run as processes in namespaces of their own. `prerequisites.check` checks within seconds that the
machine has what this kind of cluster needs. It runs before the Python environment exists: nothing is imported here.
"""
