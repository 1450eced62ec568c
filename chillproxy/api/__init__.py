"""The pool over HTTP, and the list of its routes."""

from chillproxy.api import internal

ROUTES = internal.ROUTES
