"""From a media id to ranked candidates."""
