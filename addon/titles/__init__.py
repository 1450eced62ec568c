"""Release names: what they say, whether they fit, which comes first, which file of a pack."""
