"""The inference service: recognises whales and dolphins on photographs and says which weights it does so with."""
