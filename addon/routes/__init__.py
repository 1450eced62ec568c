"""HTTP, one file a subject, and the list of all routes."""

from addon.routes import demo, health, play, stremio

# The hot ones first: each route that is tried costs a microsecond.
ROUTES = [*stremio.ROUTES, *play.ROUTES, *demo.ROUTES, *health.ROUTES]
