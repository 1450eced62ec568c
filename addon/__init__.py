"""The server that Stremio and people meet, and everything that talks to the outside world."""
