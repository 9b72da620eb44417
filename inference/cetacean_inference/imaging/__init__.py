"""Pictures: archives, decoding, resizing for the networks, and masks."""
