"""Tests that need a CUDA GPU; elsewhere they are skipped. ``python -m tools.gpu`` runs them."""

import pytest
import torch

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
