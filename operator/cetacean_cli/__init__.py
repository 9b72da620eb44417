"""The `cetacean` command line, which is also the kubectl plugin `kubectl cetacean`.

It edits `models/registry.json` and single fields of a CetaceanModel's spec, and shows the status that the operator
writes. It has no rules of its own: the gate and the forecast are the rules of the operator and of CI.
"""
