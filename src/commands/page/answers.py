"""What is answered: a result as a file or as a form of several, and what every answer says."""

import io
import json

from aiohttp import MultipartWriter, web

from src.commands.page.photographs import Result

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src blob: data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer: nothing is kept, nothing from outside is loaded."""


async def with_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer says."""
    response.headers.update(_HEADERS)


def as_file(result: Result) -> web.Response:
    """Return the file of a result, what is to be known of it in a header."""
    name = json.dumps(result.name.encode("ascii", "replace").decode().replace('"', "'"))
    headers = {
        "Content-Disposition": f"attachment; filename={name}",
        "Exemplar-About": json.dumps(result.about),
    }
    return web.Response(body=result.content, content_type=f"image/{result.kind}", headers=headers)


def as_form(result: Result) -> web.Response:
    """Return a form: ``about``, the file of the result, and what a browser shows."""
    writer = MultipartWriter("form-data")
    writer.append_json(result.about).set_content_disposition("form-data", name="about")
    files = {"file": (result.name, result.content)}
    files |= {key: (f"{key}.png", content) for key, content in result.views.items()}
    for key, (name, content) in files.items():
        part = writer.append(io.BytesIO(content))
        part.set_content_disposition("form-data", name=key, filename=name)
    return web.Response(body=writer)
