"""Use cases of central over the stores it asks for, one module each."""
