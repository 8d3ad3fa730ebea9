"""What families with latents make of a target's own latents, and the nats that these hold."""
import numpy as np
import pytest

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.ops import masking

BATCH = families.batch()
NAMES = sorted(name for name, module in models.FAMILIES.items() if "reconstruct" in module.TRAITS.offers)


@pytest.mark.parametrize("name", NAMES)
def test_reconstructions_and_their_nats(name):
  model = families.build(name)
  found, lengths = model.reconstruct(BATCH.src, BATCH.tgt).numpy(), masking.lengths(BATCH.tgt).numpy()
  assert (found[np.arange(found.shape[1]) >= lengths[:, None] + 3] == types.PAD).all()  # FlowSeq fills with EOS.
  terms = corpus.terms(model)
  nats, count = terms(BATCH.src, BATCH.tgt)["kl_sentence"]
  alone = [terms(BATCH.src[i:i + 1], BATCH.tgt[i:i + 1])["kl_sentence"] for i in range(len(lengths))]
  assert float(count) == len(lengths) and {float(of) for _, of in alone} == {1.0}
  np.testing.assert_allclose(nats, sum(float(each) for each, _ in alone), rtol=1e-4)
