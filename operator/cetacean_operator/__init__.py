"""The operator: rolls out, verifies and watches the models of the inference service."""
