"""One attempt to pass, from start to settled."""
