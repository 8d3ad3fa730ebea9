"""A shortlist: the target tokens that a sentence may need, after Jean, Cho, Memisevic & Bengio (ACL 2015).

  tokens of a sentence = the most frequent ones, and for each of its source tokens the likeliest translations
"""
import io
import zipfile
from typing import NamedTuple

import numpy as np

from tf_nar.data import atomic


class Shortlist(NamedTuple):
  """See the module docstring."""

  likely: np.ndarray  # int32 [V', k]: translations of each of V' source tokens; EOS where there are fewer.
  frequent: np.ndarray  # int32 [F]: the reserved tokens and the most frequent ones.
  vocabulary: np.ndarray  # The SHA-256 of the vocabulary, a string.


def write(path: str, found: Shortlist) -> None:
  """Writes a shortlist as a file of numpy, .npz."""
  data = io.BytesIO()
  np.savez_compressed(data, **found._asdict())
  atomic.write(path, data.getvalue())


def read(path: str) -> Shortlist:
  """Returns the shortlist of a file.

  Raises:
    ValueError: for a file that is none.
  """
  with atomic.open_read(path) as file:
    data = file.read()
  try:
    return Shortlist(**np.load(io.BytesIO(data)))
  except (ValueError, TypeError, EOFError, zipfile.BadZipFile):
    raise ValueError(f"{path} is no shortlist; make one with data_prep/shortlist.py.") from None
