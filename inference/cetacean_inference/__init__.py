"""The inference service: recognises whales and dolphins on photographs and says which weights it does so with."""

from __future__ import annotations

from cetacean_inference.system.openmp import configure_openmp

# Here, because Python runs it before any module of the package, and so before torch or OpenVINO is imported.
configure_openmp()
