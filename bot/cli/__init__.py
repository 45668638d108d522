"""The commands of the chatbot: chat, reply, settings, models. Each module holds one and imports what is heavy late."""
