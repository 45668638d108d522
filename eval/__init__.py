"""How good is it: human ratings, offline metrics, benchmarks. Import from it with ``from eval.x import y``."""
