"""What we know of torrents, their files and where they are cached."""
