"""Checks before the first update that the decoder of a model is long enough for its training pairs."""
import itertools
from typing import Any

from absl import logging

from tf_nar.data import corpus
from tf_nar.data import records

LOOKED_AT = 10_000  # Number of pairs that are checked.
WORTH_A_WORD = 0.01  # Share of pairs that do not fit above which a warning is logged.
COVERED = 0.999  # Share of pairs that fit with the advised setting.


def check(model: Any, data_dir: str, max_length: int) -> None:
  """Warns if `model.upsample` times the source length leaves too few decoder positions for some training pairs.

  Args:
    model: of a family that upsamples its source; `upsampling(number of source tokens, target ids)` returns the least
      factor with which the target fits.
    data_dir: a data folder.
    max_length: longer pairs are not trained on.

  Raises:
    ValueError: if nearly all pairs (all but a share of 0.01) do not fit.
  """
  pairs = itertools.chain.from_iterable(map(records.read, corpus.shards(data_dir)))
  short = (pair for pair in pairs if max(len(pair.src), len(pair.tgt)) <= max_length)
  needed = sorted(model.upsampling(len(pair.src), pair.tgt) for pair in itertools.islice(short, LOOKED_AT))
  has = model.config.upsample
  share = sum(need > has for need in needed) / len(needed)
  advised = needed[min(int(COVERED * len(needed)), len(needed) - 1)]
  problem = (f"model.upsample={has} is too small for {100 * share:.1f} % of the training pairs; "
          f"--set=model.upsample={advised} is large enough for {100 * COVERED:g} %")
  if share > 1 - WORTH_A_WORD:
    raise ValueError(f"{problem}.")
  if share > WORTH_A_WORD:
    logging.warning("%s. Pairs that do not fit are left out of the loss.", problem)
