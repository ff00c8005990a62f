"""A form that came, in memory: its fields, and what of them is refused."""

from collections.abc import Mapping

from aiohttp import MultipartReader, web
from aiohttp.multipart import BodyPartReader

from src.core.errors import ConfigError, did_you_mean

Form = Mapping[str, str | tuple[str, bytes]]
"""Field → text, or name and content of a file."""

_FILES = ("image", "clean")
_TEXTS = ("model", "sigma", "strength", "phase", "job", "views", "x", "y", "block")
_LONGEST = 1000
"""Bytes of a text of a form."""


async def read_form(request: web.Request, megabytes: float) -> Form:
    """Return the fields of a form.

    Raises:
        HTTPRequestEntityTooLarge: As soon as more has come than is allowed.
        ConfigError: If there is no form.
    """
    if (request.content_length or 0) > megabytes * 1e6:
        raise _too_large(request.content_length or 0, megabytes)
    if request.content_type != "multipart/form-data":
        raise ConfigError('Send a form: curl -F "image=@photo.jpg" -F model=zoo/denoise …')
    try:
        return await _fields(await request.multipart(), megabytes)
    except ValueError as error:  # of aiohttp and of the decoding
        raise ConfigError(f"The form cannot be read: {error}.") from error


async def _fields(parts: MultipartReader, megabytes: float) -> Form:
    form: dict[str, str | tuple[str, bytes]] = {}
    size = 0
    async for part in parts:
        if not isinstance(part, BodyPartReader):
            raise ConfigError("A form within the form is not read; send its fields themselves.")
        name = _name_of(part, form)
        content = bytearray()
        while chunk := await part.read_chunk(2**16):
            content += chunk
            size += len(chunk)
            if size > megabytes * 1e6:
                raise _too_large(size, megabytes)
            if part.filename is None and len(content) > _LONGEST:
                raise ConfigError(f"{name} has more than {_LONGEST} bytes, too many for a text")
        is_file = part.filename is not None
        form[name] = (str(part.filename), bytes(content)) if is_file else content.decode()
    return form


def _too_large(size: int, megabytes: float) -> web.HTTPException:
    return web.HTTPRequestEntityTooLarge(
        max_size=int(megabytes * 1e6),
        actual_size=size,
        text=f"The upload has {size / 1e6:.1f} megabytes or more; {megabytes:g} "
        "are allowed here. Make the photograph smaller, or cut it.",
    )


def _name_of(part: BodyPartReader, form: Form) -> str:
    """Return the name of a field."""
    name = part.name or ""
    if name not in (*_FILES, *_TEXTS):
        raise ConfigError(f"{name} is no field of a form here. {did_you_mean(name, _TEXTS)}")
    if name in form:
        raise ConfigError(f"{name} is given twice; give it once.")
    if part.filename is not None and name not in _FILES:
        raise ConfigError(f"{name} is a text, and a file came.")
    return name


def number(text: str | None, name: str) -> float | None:
    """Return what was sent as ``name``; None where nothing was.

    Raises:
        ConfigError: If it is no number.
    """
    try:
        return None if not text else float(text)
    except ValueError as error:
        raise ConfigError(f"{name}={text} is no number, such as {name}=1.") from error


def whole(text: str, name: str) -> int:
    """Return what was sent as ``name``; ConfigError if it is no whole number."""
    try:
        return int(text)
    except ValueError as error:
        reason = f"{name}={text} is no whole number, such as {name}=1, in pixels from the corner."
        raise ConfigError(reason) from error
