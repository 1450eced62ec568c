"""HTTP, one file a subject, and the list of all routes."""

from addon.routes import configs, demo, health, metrics, play, stremio

# The hot ones first: each route that is tried costs a microsecond.
ROUTES = [
    *stremio.ROUTES,
    *play.ROUTES,
    *configs.ROUTES,
    *demo.ROUTES,
    *health.ROUTES,
    *metrics.ROUTES,
]
