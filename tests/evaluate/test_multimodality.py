import math

import pytest

from tf_nar.evaluate import multimodality


def test_two_equal_modes_cost_one_bit_a_word():
  # A model with two equally likely tokens at every position; EOS and the length have probability 1.
  words = [3, 5]
  ncm = multimodality.normalised_multimodality([-n * math.log(2) for n in words], [n + 1 for n in words])
  assert ncm == pytest.approx(8 * math.log(2) / 10)


def test_it_is_a_ratio_of_sums():
  assert multimodality.normalised_multimodality([-1.0, -8.0], [1, 2]) == 3.0


def test_weights_count_on_both_sides():
  assert multimodality.normalised_multimodality([-3.0, -5.0], [2, 1], [0.5, 1.0]) == 6.5 / 2


def test_what_cannot_be_said_is_left_out():
  assert multimodality.normalised_multimodality([-1.0, -math.inf, -5.0], [2, 7, 1]) == 2.0


@pytest.mark.parametrize("log_probs, lengths, message", [
    ([-1.0], [1, 2], "as many scores as targets; got 1 and 2"),
    ([], [], "None of 0 targets has a token and a finite score"),
    ([-math.inf], [3], "None of 1 targets has a token and a finite score"),
    ([-1.0, math.nan, math.inf], [1, 1, 1], "2 of 3 scores are not log probabilities"),
])
def test_refusals(log_probs, lengths, message):
  with pytest.raises(ValueError, match=message):
    multimodality.normalised_multimodality(log_probs, lengths)
