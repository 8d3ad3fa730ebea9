import math

import pytest

from tf_nar.prepare import mixing


@pytest.mark.parametrize("given, temperature, shares", [
  ((), 1.0, [100, 300, 600]), ((), math.inf, [1, 1, 1]), ((), 2.0, [10, 300**0.5, 600**0.5]),
  ((6, 1, 0.5), 1.0, [600, 300, 300]), ((1, 2, 3), math.inf, [1, 2, 3]),
])
def test_shares_of_the_loss(given, temperature, shares):
  counts = [100, 300, 600]
  found = mixing.weights(counts, given, temperature)
  assert sum(found.of(index) for index in range(1000)) == pytest.approx(1000)
  in_loss = [count * value for count, value in zip(counts, found.values, strict=True)]
  assert in_loss == pytest.approx([1000 * share / sum(shares) for share in shares])
  assert [found.of(index) for index in (0, 99, 100, 399, 400, 999)] == [found.values[k] for k in (0, 0, 1, 1, 2, 2)]


@pytest.mark.parametrize("given, temperature, message", [
  ((1,), 1.0, r"^--weights needs a number for each file of --source; got 1 for 2 files\.$"),
  ((1, 0), 1.0, r"^--weights must be above 0; got 1, 0\. Leave out"),
  ((), 0.5, "^--temperature must be at least 1, which mixes files by their sizes; got 0.5"),
])
def test_refusals(given, temperature, message):
  with pytest.raises(ValueError, match=message):
    mixing.weights([3, 4], given, temperature)
