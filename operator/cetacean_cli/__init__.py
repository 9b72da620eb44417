"""The `cetacean` command line, which is also the kubectl plugin `kubectl cetacean`.

It edits `models/registry.json` and the one field of a CetaceanModel that each procedure is about, and reads the status
that the operator writes. It decides nothing by itself: gate and forecast are the rules that the operator and CI use.
"""
