import itertools

import numpy as np
import pytest

from tf_nar.em import select


def random_list(seed, count=6):
  draw = np.random.default_rng(seed)
  lengths = draw.integers(2, 9, count)
  return draw.normal(-10, 4, count), lengths, draw.normal(-6, 2, count), draw.normal(-5, 2, count)


def test_hard_rule_keeps_what_the_student_likes():
  assert select.best(select.merit([-7.0, -3.0, -5.0], [4, 4, 4])) == 1


def test_of_equals_the_teachers_order_decides():
  assert select.best(select.merit([-7.0, -3.0, -3.0], [4, 4, 4])) == 1


def test_normalized_prefers_the_long_one_that_is_likelier_a_token():
  student, lengths = [-6.0, -8.0], [2, 4]
  assert select.best(select.merit(student, lengths)) == 0
  assert select.best(select.merit(student, lengths, normalize=True)) == 1


def test_quality_of_the_first_teacher_outweighs_the_student():
  student, quality = [-3.0, -4.0], [-9.0, -2.0]
  choose = lambda weight: select.best(select.merit(student, [3, 3], quality=quality, weight=weight))
  choices = [choose(weight) for weight in (0.0, 0.1, 0.2, 1.0)]
  assert choices == [0, 0, 1, 1]  # The ranking changes at lambda = 1 / 7.


@pytest.mark.parametrize("seed", range(20))
def test_merit_is_that_of_brute_force(seed):
  student, lengths, quality, _ = random_list(seed)
  for normalize, weight in itertools.product((False, True), (0.0, 0.5)):
    merits = select.merit(student, lengths, normalize=normalize, quality=quality, weight=weight)
    each = [s / (n if normalize else 1) + weight * q
            for s, n, q in zip(student, lengths, quality, strict=True)]
    assert merits == pytest.approx(each)
    assert select.best(merits) == each.index(max(each))


@pytest.mark.parametrize("seed", range(5))
def test_selection_is_never_worse_than_the_teachers_best(seed):
  lists = [random_list(100 * seed + k)[:2] for k in range(30)]
  kept = [student[select.best(select.merit(student, lengths))] for student, lengths in lists]
  assert np.mean(kept) >= np.mean([student[0] for student, _ in lists])


def test_soft_weights_are_the_posterior_over_what_the_proposal_reached():
  # There are only three translations. Drawn from the proposal and weighted, they follow the posterior.
  student, proposal = np.log([0.5, 0.3, 0.2]), np.log([0.2, 0.2, 0.6])
  weights = select.weights(select.merit(student, [3, 3, 3]), proposal)
  ratios = np.array([0.5 / 0.2, 0.3 / 0.2, 0.2 / 0.6])
  np.testing.assert_allclose(weights, ratios / ratios.sum())
  np.testing.assert_allclose(weights * np.exp(proposal) / (weights * np.exp(proposal)).sum(), np.exp(student))


@pytest.mark.parametrize("seed", range(10))
def test_soft_weights_sum_to_one_however_small_the_probabilities(seed):
  student, lengths, quality, proposal = random_list(seed)
  weights = select.weights(select.merit(student - 5_000, lengths, quality=quality, weight=1.0), proposal)
  assert weights.sum() == pytest.approx(1) and (weights >= 0).all()


def test_soft_rule_with_a_flat_proposal_is_sharpest_at_the_hard_choice():
  merits = select.merit([-7.0, -3.0, -5.0], [4, 4, 4])
  assert np.argmax(select.weights(merits, np.zeros(3))) == select.best(merits)


def test_what_the_student_cannot_say_weighs_nothing():
  assert select.weights([-np.inf, -3.0], [-1.0, -2.0]).tolist() == [0.0, 1.0]
  assert select.weights([-np.inf, -np.inf], [-1.0, -2.0]).tolist() == [1.0, 0.0]
  assert select.best(np.array([-np.inf, -np.inf])) == 0


@pytest.mark.parametrize("arguments, message", [
    (dict(student=[], lengths=[]), "at least one candidate"),
    (dict(student=[-1.0], lengths=[2, 3]), "got 2 candidates and 1 scores"),
    (dict(student=[-1.0], lengths=[2], weight=0.5), "needs the first teacher's score"),
    (dict(student=[-1.0], lengths=[2], weight=0.5, quality=[-1.0, -2.0]), "each of the 1 candidates"),
])
def test_merit_refuses(arguments, message):
  with pytest.raises(ValueError, match=message):
    select.merit(**arguments)
