"""Which credential next: a grant of the pool or a token of the user."""
