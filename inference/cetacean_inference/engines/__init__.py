"""Engines that compute the networks; eager torch on the processor is the reference for all others."""
