"""From a play URL to bytes, or to a clip that says why not."""
