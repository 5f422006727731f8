"""Back ends: programs become something that runs."""
