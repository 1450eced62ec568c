"""The pool: who may use which key, and what happened. It makes no outbound calls."""
