"""The chatbot: the engine, its memory, and the doors people come in by."""
