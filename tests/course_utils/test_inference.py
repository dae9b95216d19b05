"""A model that was used is left as it was, and so is chance."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from course_utils.inference import evaluating, kept_random_state


@pytest.mark.parametrize("fails", [False, True])
def test_each_module_gets_its_own_mode_back(fails: bool) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2).eval(), nn.Dropout())
    modes = [module.training for module in net.modules()]
    try:
        with evaluating(net):
            assert not any(module.training for module in net.modules())
            assert not net(torch.rand(1, 1, 2, 2)).requires_grad
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert [module.training for module in net.modules()] == modes
    assert torch.is_grad_enabled()


def test_random_numbers_drawn_within_are_not_missed_after() -> None:
    state = torch.get_rng_state()
    with kept_random_state(torch.device("cpu")):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
