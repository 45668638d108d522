"""May it be said: a turn in its conversation in, a verdict out."""
