"""Program -> program transforms, each one loop over equations."""
