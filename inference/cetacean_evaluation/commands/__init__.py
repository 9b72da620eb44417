"""The commands behind `scripts/compute_metrics.py`, `calibrate_clip_threshold.py` and `check_regression.py`."""
