"""The alignment of translations with their sources, in every family."""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.layers import shards

BATCH = families.batch()


@pytest.mark.parametrize("name", [name for name in sorted(models.FAMILIES) if "align" in models.traits(name).offers])
def test_rows_are_shares_of_source_tokens(name):
  model = families.build(name)
  found = model.align(BATCH.src, BATCH.tgt).numpy()
  words = (BATCH.tgt != types.PAD) & (BATCH.tgt != types.EOS)
  assert found.shape == (*BATCH.tgt.shape, BATCH.src.shape[1]) and (found >= 0).all()
  np.testing.assert_allclose(found.sum(2), tf.cast(words, tf.float32), atol=1e-5)
  assert not found.transpose(0, 2, 1)[BATCH.src == types.PAD].any()
  wider = model.align(*(tf.pad(each, [[0, 0], [0, 2]]) for each in (BATCH.src, BATCH.tgt)))
  np.testing.assert_allclose(wider[:, :-2, :-2], found, rtol=1e-3, atol=1e-5)


def test_shards_see_what_the_whole_sees():
  whole, apart = families.build("nat_em"), families.build("nat_em", shards=2)
  weights = shards.cut({variable.path: variable.numpy() for variable in whole.variables}, apart)
  for variable in apart.variables:
    variable.assign(weights[variable.path])
  np.testing.assert_allclose(apart.align(*BATCH[:2]), whole.align(*BATCH[:2]), rtol=1e-4, atol=1e-5)


def test_the_greedy_path_of_ctc_is_its_alignment():
  model = families.build("ctc")
  search = type(families.TINY["ctc"].search)()
  src = families.padded([[5, 6, 7]], 4)
  found = model.translate(src, search)
  states = model._states(src)
  token, _ = model.net.best_tokens(states, (types.PAD, types.UNK, types.BOS, types.EOS))
  path = token.numpy()[0]
  at = [p for p in range(len(path)) if path[p] != types.MASK and (p == 0 or path[p] != path[p - 1])]
  weights = model.align(src, found.tokens[:, 0]).numpy()[0]
  assert at and all(weights[number][place // 4] > 0 for number, place in enumerate(at))
