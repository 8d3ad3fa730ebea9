"""log p of each token, in the families in which tokens have one."""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar.ops import masking

OFFERED = [name for name in sorted(models.FAMILIES) if "score_tokens" in models.traits(name).offers]


@pytest.mark.parametrize("name", OFFERED)
def test_they_are_what_the_score_sums_up(name):
  model, batch = families.build(name), families.batch()
  found = model.score_tokens(batch.src, batch.tgt).numpy()
  there = masking.valid(batch.tgt).numpy()
  assert found.shape == there.shape and (found[there] < 0).all() and (found[~there] == 0).all()
  score = model.score(batch.src, batch.tgt).numpy()
  if name == "ar":
    np.testing.assert_allclose(found.sum(1), score, rtol=1e-5)
  else:  # The rest is log p of the length, or of the fertilities.
    assert (found.sum(1) > score).all()
  wider = model.score_tokens(*(tf.pad(each, [[0, 0], [0, 2]]) for each in (batch.src, batch.tgt)))
  np.testing.assert_allclose(wider[:, :-2], found, rtol=1e-4, atol=1e-5)
