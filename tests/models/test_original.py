"""The models against the original program's own numbers (TF_NAR_GOLDEN)."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import one_pass
from tf_nar.models import original
from tf_nar.ops import masking
from tf_nar.train import optimizer

NET = transformer.Config(
  vocab=44, width=32, ffn=64, heads=4, encoder_layers=2, decoder_layers=2, max_length=255)
CLOSE = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def numbers(golden):
  return np.load(golden / "nat_em_tiny.npz")


def padded(tokens, lengths):
  """The original pads with EOS; we pad with PAD."""
  return tf.constant(np.where(np.arange(tokens.shape[1]) < lengths[:, None], tokens, types.PAD), tf.int32)


@pytest.fixture
def pairs(numbers):
  src = padded(numbers["source"], numbers["source_length"])
  tgt = padded(numbers["target"], numbers["target_length"])
  return types.Batch(src, tgt, tf.ones([src.shape[0]]))


def make(name, numbers, **changes):
  net = dataclasses.replace(NET, dropout=0.0, attention_dropout=0.0, relu_dropout=0.0)
  model = models.build(name, models.family(name).Config(net, **changes), 44)
  original.load(model, lambda variable: numbers[f"W/{original.SCOPES[name]}/{variable}"])
  return model


def same_where(mask, ours, theirs):
  np.testing.assert_allclose(ours.numpy()[mask], theirs[mask], **CLOSE)


def test_teacher_encodes_scores_and_loses_alike(numbers, pairs):
  model = make("ar", numbers)
  tokens = masking.valid(pairs.src).numpy()
  same_where(tokens, model.encode(pairs.src), numbers["ar_encoder"])
  np.testing.assert_allclose(model.score(pairs.src, pairs.tgt), numbers["ar_score"], **CLOSE)
  loss = float(types.loss(model.objective(pairs, seed=[0, 0], training=False)))
  np.testing.assert_allclose(loss - entropy(0.1, 44), numbers["ar_train_loss_nodropout"], **CLOSE)


def entropy(smoothing, tokens):
  """The constant that the original subtracts from its loss."""
  return -((1 - smoothing) * np.log(1 - smoothing) + smoothing * np.log(smoothing / (tokens - 1)))


def test_teacher_finds_the_same_beams(numbers, pairs):
  model = make("ar", numbers, start_from_bos=True)
  lengths, extra = numbers["source_length"], 8
  for i, length in enumerate(lengths):
    # The original gives every sentence the limit of the longest source of the batch.
    search = ar.Search(beam=5, candidates=5, alpha=0.6, extra_length=int(max(lengths) + extra - length),
                       unknown=True)
    found = model.translate(pairs.src[i:i + 1, :length], search)
    ours = np.where(found.tokens[0] == types.PAD, types.EOS, found.tokens[0])
    theirs = numbers["ar_beam_seqs"][i]
    assert ours.tolist() == theirs[:, :ours.shape[1]].tolist()
    assert (theirs[:, ours.shape[1]:] == types.EOS).all()
    np.testing.assert_allclose(found.score[0], numbers["ar_beam_scores"][i], **CLOSE)


def test_student_encodes_scores_and_loses_alike(numbers, pairs):
  model = make("nat_em", numbers)
  memory = model.net.encode(pairs.src)
  slots = np.arange(40) <= numbers["source_length"][:, None]
  same_where(slots, memory.states[:, :40], numbers["nar_encoder"])
  np.testing.assert_allclose(model.net.length_logits(memory), numbers["nar_length_logits"], **CLOSE)
  states = one_pass.decode(model.net, memory, masking.lengths(pairs.tgt), 40)
  same_where(masking.valid(pairs.tgt).numpy(), model.net.embed.logits(states), numbers["nar_logits"])
  np.testing.assert_allclose(model.score(pairs.src, pairs.tgt), numbers["nar_score"], **CLOSE)
  loss = types.loss(model.objective(pairs, seed=[0, 0], training=False))
  np.testing.assert_allclose(loss, numbers["nar_train_loss_nodropout"], **CLOSE)


def gradient(model, pairs):
  with tf.GradientTape() as tape:
    loss = types.loss(model.objective(pairs, seed=[0, 0], training=False))
  return loss, tape.gradient(loss, [v.value for v in model.trainable_variables])


def test_gradient_norm_is_the_originals(numbers, pairs):
  _, gradients = gradient(make("ar", numbers), pairs)
  norm = tf.linalg.global_norm([tf.convert_to_tensor(g) for g in gradients])
  np.testing.assert_allclose(norm, numbers["ar_grad_global_norm"], rtol=1e-5)


@pytest.mark.parametrize("every", [1, 2])
def test_five_calls_of_the_train_op(numbers, pairs, every):
  model = make("ar", numbers)
  recipe = config.Optimizer(
    learning_rate=0.1, warmup=4, schedule="nat_em", bias_correction=False, weight_decay=1e-4, accumulate=every)
  adam, losses = optimizer.Adam(recipe, model.trainable_variables), []
  for call in range(1, 6):
    loss, gradients = gradient(model, pairs)
    losses.append(float(loss) - entropy(0.1, 44))
    if call % every == 0:  # The batch is the same each time, so that the mean gradient is its gradient.
      adam.apply(gradients)
  np.testing.assert_allclose(losses, numbers[f"ar_losses_5steps_lr0.1_warm4_f{every}"], **CLOSE)
  after = {k.split("Trasnformer/")[1]: numbers[k] for k in numbers.files if k.startswith(f"ar_after5_f{every}/")}
  attend, = model.encoder.blocks[0].self_attend
  ours = {
    "shared_embedding": model.embed.tokens.embeddings,
    "output_bias": model.embed.bias,
    "encoder/layer_0/self_attention/LayerNorm/gamma": model.encoder.blocks[0].norms[0].gamma,
    "encoder/layer_0/self_attention/q_transform/b": attend.query_key_value.bias.value[:32],
  }
  assert ours.keys() == after.keys()
  for name, value in after.items():
    np.testing.assert_allclose(ours[name].numpy(), value, err_msg=name, **CLOSE)
