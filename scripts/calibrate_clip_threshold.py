"""The anti-fraud gate's threshold: `python3 scripts/calibrate_clip_threshold.py --help`."""

from __future__ import annotations

from cetacean_tools.launch import launch

if __name__ == "__main__":
    raise SystemExit(launch("calibrate_clip_threshold"))
