"""QR codes as SVG in data URIs."""

import segno


def qr_code(text: str) -> str:
    """Return a picture of a text; it has a white edge, so that it can be read on any ground."""
    uri: str = segno.make(text, error="m", micro=False).svg_data_uri(
        scale=4, border=3, dark="#111", light="#fff"
    )
    return uri
