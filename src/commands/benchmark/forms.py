"""The forms of pyramid attention that are measured side by side, as blocks and in networks."""

from collections.abc import Callable, Mapping

from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor, nn

from src.core.errors import ConfigError, did_you_mean
from src.models.attention.pyramid import PyramidAttention
from src.models.attention.pyramid_local import LocalPyramidAttention
from src.ops.attention.dense import dense_patch_attention, per_sample_patch_attention

AS_CONFIGURED = "as_configured"
"""The form that a network's own configuration chooses."""


class _OldForm(PyramidAttention):
    """Pyramid attention by one of the forms that hold all scores."""

    operator: Callable[..., Tensor]

    def forward(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Attend over all scales of ``features``."""
        levels = [self._shrink(features, scale) for scale in self.scales]
        attended = type(self).operator(
            self.query(features),
            [self.key(level) for level in levels],
            [self.value(level) for level in levels],
            softmax_scale=self.softmax_scale,
            min_norm=self.min_norm,
        )
        return attended + self.residual_scale * features


class PapersPyramidAttention(_OldForm):
    """As the authors compute it: convolutions whose kernels are the sample's own patches."""

    operator = staticmethod(per_sample_patch_attention)


class DensePyramidAttention(_OldForm):
    """By unfold, one product, softmax, another product, fold."""

    operator = staticmethod(dense_patch_attention)


FORMS: dict[str, tuple[type[PyramidAttention], dict[str, str]]] = {
    "papers": (PapersPyramidAttention, {}),
    "dense": (DensePyramidAttention, {}),
    "chunked": (PyramidAttention, {"implementation": "chunked"}),
    "native": (PyramidAttention, {"implementation": "native"}),
    "local": (LocalPyramidAttention, {}),
    "local_chunked": (LocalPyramidAttention, {"implementation": "chunked"}),
}
USUAL = tuple(form for form in FORMS if form != "local_chunked")
"""What is measured where nothing is said; without a kernel ``local`` is the one left out."""

COPIES: Mapping[str, Mapping[str, float]] = {
    "forward": {"papers": 4, "dense": 3},
    "training": {"papers": 4.5, "dense": 4.5},
}
"""How often the forms that hold a score for each pair of pixels hold it, as measured, about."""


def chosen_forms(cfg: DictConfig) -> list[str]:
    """Return the forms to measure: those of ``cfg.forms``, or what suits ``cfg.what``.

    Raises:
        ConfigError: If there is no such form, with the nearest names.
    """
    if cfg.forms is None:
        has_pyramid = cfg.what == "training" and _is_pyramid(cfg.model.get("attention"))
        return [*USUAL] if cfg.what == "attention" or has_pyramid else [AS_CONFIGURED]
    forms = OmegaConf.to_container(cfg.forms) if isinstance(cfg.forms, ListConfig) else None
    allowed = [*FORMS] if cfg.what == "attention" else [*FORMS, AS_CONFIGURED]
    if not isinstance(forms, list) or not forms:
        raise ConfigError(f"forms={cfg.forms} must be a list, of {', '.join(allowed)}; or null.")
    forms = ["chunked" if form == "plain" else form for form in forms]  # its name before
    for form in forms:
        if form not in allowed:
            raise ConfigError(f"forms: there is no {form!r}. {did_you_mean(str(form), allowed)}")
    return [str(form) for form in forms]


def block_of(form: str, channels: int) -> PyramidAttention:
    """Build a pyramid attention block of ``channels`` in the given form, with fresh weights."""
    cls, options = FORMS[form]
    built: PyramidAttention = cls(channels, **options)  # type: ignore[arg-type]
    return built


def network_of(form: str, model: DictConfig) -> nn.Module:
    """Build the network of ``model`` with its pyramid attention in the given form.

    Raises:
        ConfigError: If the network has no pyramid attention that could take another form.
    """
    node = OmegaConf.to_container(model, resolve=True)
    if not isinstance(node, dict):
        raise TypeError("model is no mapping")
    if form != AS_CONFIGURED:
        attention = node.get("attention")
        if not isinstance(attention, dict) or not _is_pyramid(attention):
            raise ConfigError(
                f"forms: {form} needs a model with model/attention=pyramid; "
                f"for any other take forms=[{AS_CONFIGURED}]."
            )
        cls, options = FORMS[form]
        unknown = {"memory_budget"} if cls is LocalPyramidAttention else set()
        common = {key: value for key, value in attention.items() if key not in unknown}
        node["attention"] = {**common, "_target_": f"{cls.__module__}.{cls.__name__}", **options}
    net: nn.Module = instantiate(node, _convert_="all")
    return net


def _is_pyramid(attention: object) -> bool:
    if not isinstance(attention, Mapping | DictConfig):
        return False
    return str(attention.get("_target_", "")).endswith(".PyramidAttention")


def bytes_of_scores(form: str, kind: str, batch: int, side: int) -> int:
    """Return about how much memory the scores of ``form`` take, all their copies.

    The papers' form holds one sample's at a time, but all samples' where there is a backward.
    """
    keys = sum(int(side * (1 - level / 10)) ** 2 for level in range(5))
    samples = 1 if form == "papers" and kind == "forward" else batch
    return int(COPIES[kind].get(form, 0) * 4 * samples * side**2 * keys)
