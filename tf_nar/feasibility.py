"""Whether a model has room for its training pairs, looked at before the first update."""
import itertools

from absl import logging

from tf_nar.data import corpus
from tf_nar.data import records

LOOKED_AT = 10_000  # Pairs.
WORTH_A_WORD = 0.01  # Share of pairs without room.
COVERED = 0.999  # Share that the advised setting has room for.


def check(model, data_dir, max_length):
  """Warns where the canvas of a family that upsamples its source is too small for some pairs.

  Args:
    model: of a family that upsamples: `upsampling(source tokens, target ids)` is the least that has room.
    data_dir: a data folder.
    max_length: longer pairs are not trained on.

  Raises:
    ValueError: if it is too small for nearly all.
  """
  pairs = itertools.chain.from_iterable(map(records.read, corpus.shards(data_dir)))
  short = (pair for pair in pairs if max(len(pair.src), len(pair.tgt)) <= max_length)
  needed = sorted(model.upsampling(len(pair.src), pair.tgt) for pair in itertools.islice(short, LOOKED_AT))
  has = model.config.upsample
  share = sum(need > has for need in needed) / len(needed)
  advised = needed[min(int(COVERED * len(needed)), len(needed) - 1)]
  said = (f"model.upsample={has} leaves no room for {100 * share:.1f} % of the training pairs; "
          f"--set=model.upsample={advised} has room for {100 * COVERED:g} %")
  if share > 1 - WORTH_A_WORD:
    raise ValueError(f"{said}.")
  if share > WORTH_A_WORD:
    logging.warning("%s. They are left out of the loss.", said)
