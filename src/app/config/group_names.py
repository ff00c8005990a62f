"""Groups within groups, such as ``model/attention``, may be typed with a dot."""

from src.app.config.options import all_groups, options_of


def with_slash(override: str) -> str:
    """Return ``model.attention=pyramid`` as ``model/attention=pyramid``; anything else as it is.

    W&B allows no slash in the name of a sweep's parameter. Nothing is lost: the option of a group
    is no possible value of the key of the same name.
    """
    key, equals, value = override.partition("=")
    group = key.replace(".", "/")
    if not equals or "." not in key or group not in all_groups():
        return override
    options = options_of(group)
    if all(choice in options for choice in value.split(",")):
        return f"{group}={value}"
    return override
