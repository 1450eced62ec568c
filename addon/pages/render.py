"""How a page is made: templates that escape everything, and the headers that shut scripts out."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from addon.pages.static import static_path

# No inline script or style, nothing from another host, no frame around it, no form to elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-store"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["static_path"] = static_path


def page(template: str, status: int = 200, **values: object) -> Response:
    """Return a page made from a template."""
    html = _templates.get_template(template).render(values)
    return HTMLResponse(html, status, _HEADERS)
