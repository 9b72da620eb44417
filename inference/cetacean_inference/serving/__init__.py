"""Answering pictures: batches, decisions, identity and the prediction log; knows nothing of HTTP."""
