"""The two models: which individual a picture shows, and whether it shows a marine mammal at all."""
