"""Working doubles of boards that are not ours, each behind a real pseudo-terminal where it has a line."""
