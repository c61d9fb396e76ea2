"""The competing optimisers, one module each."""
