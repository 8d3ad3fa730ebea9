"""Weights by which corpora of different sizes are mixed."""
import bisect
from typing import NamedTuple, Sequence


class Weights(NamedTuple):
  """The weights of the pairs of several corpora, which follow each other in a text."""

  ends: tuple[int, ...]  # Number of pairs up to the end of each corpus.
  values: tuple[float, ...]  # Weight of a pair of each corpus.

  def of(self, index: int) -> float:
    """Returns the weight of a line of the text."""
    return self.values[bisect.bisect_right(self.ends, index)] if self.ends else 1.0


def weights(counts: Sequence[int], given: Sequence[float] = (), temperature: float = 1.0) -> Weights:
  """Returns weights whose mean over all pairs is 1.

  With n pairs and the weight g, a corpus has a share of the loss in proportion to g n^(1/T). So T = 1 leaves the pairs
  as they are, and T = inf gives equal shares to all corpora.

  Args:
    counts: number of pairs of each corpus.
    given: weight of each corpus; empty: 1.
    temperature: T.

  Raises:
    ValueError: for another number of weights, a weight that is not positive, or T below 1.
  """
  if temperature < 1:
    raise ValueError(f"--temperature must be at least 1, which mixes files by their sizes; got {temperature}.")
  if given and len(given) != len(counts):
    raise ValueError(f"--weights needs a number for each file of --source; got {len(given)} for {len(counts)} files.")
  if any(not weight > 0 for weight in given):
    raise ValueError(f"--weights must be above 0; got {', '.join(map(str, given))}. Leave out the files of weight 0.")
  given = given or [1] * len(counts)
  shares = [weight * count ** (1 / temperature) for weight, count in zip(given, counts, strict=True)]
  scale = sum(counts) / sum(shares)
  ends = tuple(sum(counts[:number]) for number in range(1, len(counts) + 1))
  return Weights(ends, tuple(scale * share / count for share, count in zip(shares, counts, strict=True)))
