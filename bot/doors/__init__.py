"""The doors: each turns a platform's messages into IncomingMessage and replies back, and does nothing else.

The console's way in from Streamlit's threads is eval/console/live.py, beside its only user: a bridge without a
platform of its own would be no door.
"""
