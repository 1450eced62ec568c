"""HTML for people, one file a page, and the list of all pages."""

from addon.pages import configure, static

# To be tried before the addon's own routes, one of which takes all that lies below its path.
BELOW_ADDON = configure.BELOW_ADDON
PAGES = [*configure.ROUTES, *static.ROUTES]
