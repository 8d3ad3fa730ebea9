"""A shortlist: the target tokens that a sentence may need, after Jean, Cho, Memisevic & Bengio (ACL 2015).

  tokens of a sentence = the most frequent ones, and for each of its source tokens the likeliest translations
"""
from typing import NamedTuple

import numpy as np

from tf_nar.data import arrays


class Shortlist(NamedTuple):
  """See the module docstring."""

  likely: np.ndarray  # int32 [V', k]: translations of each of V' source tokens; EOS where there are fewer.
  frequent: np.ndarray  # int32 [F]: the reserved tokens and the most frequent ones.
  vocabulary: np.ndarray  # The SHA-256 of the vocabulary, a string.


def write(path: str, found: Shortlist) -> None:
  """Writes a shortlist as a file of numpy, .npz."""
  arrays.write(path, found._asdict(), compressed=True)


def read(path: str) -> Shortlist:
  """Returns the shortlist of a file.

  Raises:
    ValueError: for a file that is none.
  """
  try:
    return Shortlist(**arrays.read(path))
  except (ValueError, TypeError):
    raise ValueError(f"{path} is no shortlist; make one with data_prep/shortlist.py.") from None
