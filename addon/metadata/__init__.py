"""Metadata services, one file each."""
