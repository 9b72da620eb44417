"""The Kubernetes runtime: requests, the Lease, the cache of objects, writes and Events."""
