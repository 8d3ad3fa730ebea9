"""What the conformance suite asks of a family, of variants whose graphs differ from those of its tiny instance."""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import types
from tf_nar.export import tpu
from tf_nar.layers import flow_prior
from tf_nar.layers import quantizer
from tf_nar.models import flowseq
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.models import latent_codes
from tf_nar.ops import schedule
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

BATCH = families.batch()


def codes(causal=False, **bottleneck):
  """Returns the variant of a Latent Transformer with a bottleneck, in the middle of its first phase."""
  half, quarter = schedule.Linear(0.5, 0.5), schedule.Linear(0.25, 0.25)
  made = latent_codes.Config(
    families.NET, quantizer.Config(codes=16, **bottleneck), compress=1, prior_layers=1, prior=half, bypass=half,
    gold=quarter, causal=causal)
  return "latent_codes", made, latent_codes.Search(beam=2, candidates=2)


VARIANTS = {
  "latents of the source": (
    "lanmt", lanmt.Config(families.NET, lanmt.Latent("source")),
    lanmt.Search(steps=2, candidates=4, latents=2, rank="bound")),
  "an energy": (
    "lanmt_score", lanmt_score.Config(families.NET, kind="energy", layers=1, delta=1, own=0.5, own_after=0),
    lanmt_score.Search(refine="energy", steps=2, step_size=0.2)),
  "soft EM": codes(samples=3),
  "two codebooks": codes(slices=2),
  "semantic hashing": codes(kind="hash"),
  "Gumbel-softmax": codes(kind="gumbel"),
  "a causal decoder of codes": codes(causal=True),
  "a flow of all splits": (
    "flowseq", flowseq.Config(families.NET, flow_prior.Config((1, 1), ffn=16), kl=schedule.Linear(updates=100)),
    flowseq.Search(candidates=2, latents=2, rank="bound")),
  "a flow of three levels": (
    "flowseq", flowseq.Config(families.NET, flow_prior.Config((1, 1, 1), ("half",), 16), kl=schedule.Linear(updates=9)),
    flowseq.Search(candidates=4, latents=2)),
}
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("family, made, search", VARIANTS.values(), ids=VARIANTS)]


def test_exported_equals_live(family, made, search, tmp_path):
  families.export(family, families.build(family, config=made), search, tmp_path)


def test_padding_and_batch_mates_change_nothing(family, made, search):
  model = families.build(family, config=made)
  src, tgt = (tf.pad(tokens, [[0, 1], [0, 3]]) for tokens in (BATCH.src, BATCH.tgt))  # A blank row, and padding.
  scores, found = model.score(src, tgt), model.translate(src, search)
  for row in (0, 4):
    np.testing.assert_allclose(scores[row], model.score(BATCH.src[row:row + 1], BATCH.tgt[row:row + 1])[0], rtol=1e-3)
    alone = families.nonempty(model.translate(BATCH.src[row:row + 1], search), 0)
    together = families.nonempty(found, row)
    assert [tokens for tokens, _ in alone] == [tokens for tokens, _ in together]
    np.testing.assert_allclose(*([score for _, score in each] for each in (alone, together)), rtol=1e-3)


def test_learns_eight_sentences_by_heart(family, made, search):
  families.learns_by_heart(families.build(family, config=made, width=32, ffn=64, **families.STILL), search)


def test_xla_makes_the_same_step(family, made, search):
  recipe = config.Optimizer(learning_rate=1e-2, warmup=2)

  def updated(jit):
    model = families.build(family, config=made)
    update = step_lib.Update(
      model, optimizer.Adam(recipe, model.trainable_variables), config.Train(optimizer=recipe, jit=jit))
    # The loss after the step stands for the weights: the bias of keys has no gradient but rounding, which Adam scales.
    return update([BATCH], 0), types.loss(model.objective(BATCH, seed=None, training=False))

  (terms, after), (plain, plain_after) = updated(True), updated(False)
  for term, value in plain.items():
    np.testing.assert_allclose(terms[term], value, rtol=1e-3, atol=1e-5, err_msg=term)
  np.testing.assert_allclose(after, plain_after, rtol=1e-3)


def test_a_tpu_takes_its_search_and_score(family, made, search):
  for program in tpu.programs_of_model(families.build(family, config=made), search, (8, 8)):
    assert tpu.examine(program, compiling=False).findings == []


def test_bfloat16_is_close(family, made, search):
  half, whole = (families.build(family, config=made, dtype=dtype) for dtype in ("mixed_bfloat16", "float32"))
  loss = lambda model: float(types.loss(model.objective(BATCH, seed=None, training=False)))
  np.testing.assert_allclose(loss(half), loss(whole), rtol=0.02, atol=0.02)
  assert np.isfinite(half.translate(BATCH.src, search).score[:, 0]).all()
