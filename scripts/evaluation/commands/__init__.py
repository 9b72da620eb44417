"""The commands `scripts/compute_metrics.py` and `scripts/calibrate_clip_threshold.py`."""
