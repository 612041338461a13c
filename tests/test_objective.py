import math

import numpy as np
import pytest
import torch

from sklearn_byol.objective import (
    byol_loss,
    effective_rank,
    learning_rate_at,
    momentum_at,
    regression_loss,
    spread,
    update_target,
)


@pytest.fixture
def pair(generator):
    return torch.randn(2, 7, 5, generator=generator).unbind(0)


def test_loss_is_the_squared_distance_of_unit_vectors(pair):
    q, z = (v.numpy() / np.linalg.norm(v.numpy(), axis=1, keepdims=True) for v in pair)
    expected = ((q - z) ** 2).sum(axis=1).mean()
    assert regression_loss(*pair).item() == pytest.approx(expected, rel=1e-5)


def test_loss_is_two_minus_two_cosines(pair):
    cosine = torch.nn.functional.cosine_similarity(*pair).mean().item()
    assert regression_loss(*pair).item() == pytest.approx(2 - 2 * cosine, rel=1e-5)


def test_loss_ignores_the_length_of_vectors(pair):
    q, z = pair
    assert regression_loss(7 * q, 0.1 * z).item() == pytest.approx(
        regression_loss(q, z).item(), rel=1e-5
    )


@pytest.mark.parametrize(("sign", "expected"), [(1, 0.0), (-1, 4.0)])
def test_loss_reaches_its_bounds(pair, sign, expected):
    q, _ = pair
    assert regression_loss(q, sign * q).item() == pytest.approx(expected, abs=1e-5)


def test_loss_of_zero_vectors_is_finite():
    zeros = torch.zeros(2, 3, requires_grad=True)
    loss = regression_loss(zeros, zeros)
    loss.backward()
    assert loss.item() == 2
    assert zeros.grad.isfinite().all()


def test_no_gradient_reaches_the_target(pair):
    q, z = (v.clone().requires_grad_() for v in pair)
    regression_loss(q, z).backward()
    assert q.grad.abs().sum() > 0
    assert z.grad is None


def test_symmetric_loss_sums_the_crossed_views(pair):
    q_1, z_2 = pair
    q_2, z_1 = q_1.flip(0), z_2.roll(1, 0)
    expected = regression_loss(q_1, z_2) + regression_loss(q_2, z_1)
    assert byol_loss(q_1, q_2, z_1, z_2).item() == pytest.approx(expected.item())


def test_symmetric_loss_does_not_compare_a_view_with_itself(pair):
    q_1, q_2 = pair
    same = byol_loss(q_1, q_2, q_1, q_2).item()
    crossed = byol_loss(q_1, q_2, q_2, q_1).item()
    assert crossed == pytest.approx(0, abs=1e-5)
    assert same > 1


def test_momentum_rises_from_its_base_to_one():
    values = [momentum_at(step, 50, 0.9) for step in range(51)]
    assert values[0] == pytest.approx(0.9)
    assert values[-1] == 1
    assert np.all(np.diff(values) > 0)


def test_momentum_is_half_way_in_the_middle():
    assert momentum_at(25, 50, 0.9) == pytest.approx(0.95)


def test_momentum_of_one_stays_one():
    assert {momentum_at(step, 10, 1.0) for step in range(10)} == {1.0}


def test_momentum_is_the_formula_of_the_paper():
    k, n, base = 3, 17, 0.97
    expected = 1 - (1 - base) * (np.cos(np.pi * k / n) + 1) / 2
    assert momentum_at(k, n, base) == pytest.approx(expected, rel=1e-12)


def test_warm_up_is_a_line_and_reaches_the_learning_rate():
    values = [learning_rate_at(step, 100, 10, 0.5) for step in range(10)]
    np.testing.assert_allclose(values, 0.05 * np.arange(1, 11))


def test_learning_rate_falls_to_almost_nothing_on_a_cosine():
    values = [learning_rate_at(step, 110, 10, 1.0) for step in range(10, 110)]
    expected = [(1 + math.cos(math.pi * k / 100)) / 2 for k in range(100)]
    np.testing.assert_allclose(values, expected)
    assert values[-1] < 1e-3


def test_without_warm_up_the_first_step_has_the_full_learning_rate():
    assert learning_rate_at(0, 10, 0, 0.3) == 0.3


def test_target_moves_by_the_exponential_average():
    xi, theta = torch.tensor([1.0, 2.0]), torch.tensor([3.0, -2.0])
    update_target([xi], [theta], 0.75)
    torch.testing.assert_close(xi, torch.tensor([1.5, 1.0]))


@pytest.mark.parametrize(("tau", "expected"), [(1.0, 1.0), (0.0, 3.0)])
def test_target_stays_at_one_and_copies_at_zero(tau, expected):
    xi, theta = torch.tensor([1.0]), torch.tensor([3.0], requires_grad=True)
    update_target([xi], [theta], tau)
    assert xi.item() == expected


def test_spread_of_points_on_the_sphere_is_one(generator):
    points = torch.randn(20_000, 16, generator=generator)
    assert spread(points).item() == pytest.approx(1, abs=0.01)


def test_spread_of_the_ends_of_all_axes_is_one():
    # By hand: each coordinate is 1, -1 and 2 (d - 1) zeros, so its variance is 1 / d.
    ends = torch.cat([torch.eye(4), -torch.eye(4)])
    assert spread(ends).item() == pytest.approx(1, abs=1e-6)


def test_spread_of_equal_directions_is_zero():
    lengths = torch.linspace(1, 5, 10)[:, None]
    assert spread(lengths * torch.ones(10, 4)).item() == pytest.approx(0, abs=1e-6)


def test_effective_rank_of_equal_singular_values_is_their_number():
    assert effective_rank(3 * torch.eye(7, 5)).item() == pytest.approx(5, rel=1e-4)


def test_effective_rank_of_half_precision_is_computed_in_float32(generator):
    rows = torch.randn(20, 6, generator=generator).bfloat16()
    torch.testing.assert_close(effective_rank(rows), effective_rank(rows.float()))


def test_effective_rank_of_zeros_is_one():
    assert effective_rank(torch.zeros(10, 4)).item() == pytest.approx(1, abs=1e-4)
