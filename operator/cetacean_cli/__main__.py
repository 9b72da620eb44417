"""`python -m cetacean_cli`."""

from __future__ import annotations

from cetacean_cli.main import main

if __name__ == "__main__":
    main()
