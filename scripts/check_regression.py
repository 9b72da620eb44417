"""The regression gate of CI: `python3 scripts/check_regression.py --help`."""

from __future__ import annotations

from cetacean_tools.launch import launch

if __name__ == "__main__":
    raise SystemExit(launch("check_regression", missing_package=2))
