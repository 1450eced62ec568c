"""Plumbing that knows of neither streams nor pools."""
