"""What could be said: contexts in, ranked candidates out. No database, no network service, no chat platform."""
