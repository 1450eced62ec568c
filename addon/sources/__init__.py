"""Sources of torrents, one file each."""
