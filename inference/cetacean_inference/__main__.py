"""The container's commands: `fetch` (init container), `serve`, `replay`, `prune`."""

from __future__ import annotations

import sys

from cetacean_inference.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
