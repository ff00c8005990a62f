"""A loss that is learnt: how a discriminator judges restored images, trained beside the network."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from src.core.errors import ConfigError, did_you_mean
from src.core.seeding import generator_for
from src.losses.discriminators import KINDS, build

FORMS = ("vanilla", "hinge", "least_squares")


class AdversarialLoss(nn.Module):
    """The restored image judged as clean or not; the discriminator learns at each optimizer step.

    The discriminator has an optimizer of its own that Lightning does not know, so that its steps
    are not counted: ``max_steps``, schedules, checkpoints and resumes count those of the network.
    Its weights and its optimizer's state are part of the task's, and so of every checkpoint. Its
    gradients are means over all processes and accumulated batches.

    Goodfellow et al., 2014, arXiv:1406.2661 (``vanilla``, the form that does not saturate); Lim and
    Ye, 2017, arXiv:1705.02894 (``hinge``); Mao et al., 2017, arXiv:1611.04076 (``least_squares``).

    Args:
        discriminator: ``unet`` or ``patch``.
        channels: Of its finest features.
        in_channels: Of the images.
        form: What is made of its judgement.
        r1: Weight of the penalty on its gradient at clean images, half the squared length
            (Mescheder et al., 2018, arXiv:1801.04406); 0 for none.
        lr: Its learning rate.
        betas: Of its Adam.
        seed: Chooses its initial weights.

    Raises:
        ConfigError: If a name is unknown, or ``r1`` negative.
    """

    judged: Tensor

    def __init__(
        self,
        *,
        discriminator: str = "unet",
        channels: int = 64,
        in_channels: int = 3,
        form: str = "vanilla",
        r1: float = 0.0,
        lr: float = 1e-4,
        betas: Sequence[float] = (0.9, 0.99),
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("discriminator", discriminator, [*KINDS]),
            ("form", form, FORMS),
        ):
            if value not in known:
                raise ConfigError(f"loss.adversarial.{name}={value}: {did_you_mean(value, known)}")
        if not r1 >= 0:
            raise ConfigError(f"loss.adversarial.r1={r1} must be at least 0.")
        if channels < 1 or len(betas) != 2:
            raise ConfigError(
                f"loss.adversarial: channels={channels} must be 1 or more, betas={[*betas]} two."
            )
        self.form, self.r1, self.in_channels = form, r1, in_channels
        generator = generator_for("cpu", "discriminator", seed)
        self.discriminator = build(discriminator, in_channels, channels, generator)
        # Gradients for it are asked for in its own step alone: DDP must not wait for them.
        self.discriminator.requires_grad_(requires_grad=False)
        self.optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=lr, betas=(betas[0], betas[1])
        )
        self.register_buffer("judged", torch.zeros(()))  # its own loss in its last step; logged
        self._pending: list[tuple[Tensor, Tensor]] = []

    def forward(
        self, restored: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, ""]:
        """Return the loss of the network; keep both images for the discriminator's step."""
        if self.training and torch.is_grad_enabled():
            self._pending.append((restored.detach(), target.detach()))
        judgement: Tensor = self.discriminator(restored)
        if self.form == "hinge":
            return -judgement.mean()
        return self._as(judgement, clean=True)

    def check_patch(self, side: int, channels: int) -> None:
        """Refuse patches of ``side`` pixels that the discriminator cannot judge; ConfigError."""
        if channels != self.in_channels:
            raise ConfigError(
                f"loss.adversarial.in_channels={self.in_channels}: the images have {channels}; "
                "leave it out."
            )
        if side % self.discriminator.multiple_of or side < self.discriminator.least:
            raise ConfigError(
                f"data.patch_size={side}: the discriminator takes multiples of "
                f"{self.discriminator.multiple_of} pixels, {self.discriminator.least} or more."
            )

    def after_backward(self) -> None:
        """Let the discriminator take one step, with all images since the last one."""
        if not self._pending:
            return
        self.discriminator.requires_grad_(requires_grad=True)
        try:
            self.optimizer.zero_grad(set_to_none=True)
            losses = []
            for restored, target in self._pending:
                loss = self._own(restored, target) / len(self._pending)
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
            own = torch.stack(losses).sum()
            average([own, *(p.grad for p in self.discriminator.parameters() if p.grad is not None)])
            self.optimizer.step()
            self.judged.copy_(own)
        finally:
            self.optimizer.zero_grad(set_to_none=True)
            self.discriminator.requires_grad_(requires_grad=False)
            self._pending.clear()

    def _own(self, restored: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the discriminator."""
        target = target.requires_grad_(bool(self.r1))
        of_clean = self.discriminator(target)
        loss = self._as(of_clean, clean=True)
        loss = loss + self._as(self.discriminator(restored), clean=False)
        if self.r1:
            (slope,) = torch.autograd.grad(of_clean.sum(), target, create_graph=True)
            loss = loss + self.r1 / 2 * slope.square().sum(dim=(1, 2, 3)).mean()
        return loss

    def _as(self, judgement: Tensor, *, clean: bool) -> Tensor:
        """Return how far a judgement is from ``clean`` or not."""
        sign = 1 if clean else -1
        if self.form == "hinge":
            return F.relu(1 - sign * judgement).mean()
        if self.form == "least_squares":
            return (judgement - float(clean)).square().mean()
        return F.softplus(-sign * judgement).mean()

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, which makes it part of checkpoints."""
        return self.optimizer.state_dict()

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Go on with a state of the optimizer, at the rate and the betas that are given now.

        Raises:
            ConfigError: If it is none of this optimizer.
        """
        (group,) = self.optimizer.param_groups
        given = {key: group[key] for key in ("lr", "betas")}
        try:
            self.optimizer.load_state_dict(dict(state))
            self.optimizer.param_groups[0].update(given)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ConfigError(
                "The checkpoint's optimizer of the discriminator is not that of this loss "
                f"({type(error).__name__}: {error})."
            ) from error


def average(tensors: Iterable[Tensor]) -> None:
    """Make tensors the means over all processes, in place, where there are several."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    for tensor in tensors:
        dist.all_reduce(tensor)
        tensor /= dist.get_world_size()  # noqa: PLW2901  in place
