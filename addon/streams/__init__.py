"""The stream list."""
