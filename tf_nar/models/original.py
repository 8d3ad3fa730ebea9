"""Import of the original program's weights into our models.

Its variable scopes are `Trasnformer` (AR) and `Trasnformer_NAT` (NAR), in its own spelling. It has separate kernels for
queries, keys and values, which are concatenated here.
"""
from collections.abc import Callable
from collections.abc import Collection

import numpy as np

from tf_nar.data import json_file
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import nat_em

SCOPES = {"ar": "Trasnformer", "nat_em": "Trasnformer_NAT"}


def family(names: Collection[str]) -> str:
  """Returns the family, "ar" or "nat_em", to which variables of these names belong."""
  for name, scope in SCOPES.items():
    if any(variable.startswith(scope + "/") for variable in names):
      return name
  raise ValueError(
    f"No variable of the original program (scopes {', '.join(SCOPES.values())}) among the {len(names)} of the "
    "checkpoint; give the prefix of one that its training wrote, as DIR/model.ckpt-600.")


def model_config(path: str, name: str) -> ar.Config | nat_em.Config:
  """Reads the original's model_config.json into the `Config` of family `name`; raises as `json_file.read`."""
  old = json_file.read(path)
  net = transformer.Config(
    vocab=old["vocab_size"], width=old["hidden_size"], ffn=old["filter_size"], heads=old["num_heads"],
    encoder_layers=old["num_encoder_layers"], decoder_layers=old["num_decoder_layers"],
    dropout=old["hidden_dropout"], attention_dropout=old["attention_dropout"], relu_dropout=old["relu_dropout"],
    max_length=old["max_position_embeddings"] - 1)
  return {"ar": ar, "nat_em": nat_em}[name].Config(net, smoothing=old["label_smoothing"])


def load(model: ar.Model | nat_em.Model, read: Callable[[str], np.ndarray]) -> None:
  """Fills a model with the original's weights.

  Args:
    model: an `ar.Model` or `nat_em.Model`.
    read: maps a variable's name without its scope to its array.

  Raises:
    ValueError: if a shape differs.
  """
  for variable, value in _pairs(model, read):
    if tuple(variable.shape) != value.shape:
      raise ValueError(
        f"{variable.path} has the shape {tuple(variable.shape)} here and {value.shape} in the checkpoint; "
        "check that model_config.json and vocabulary belong to it.")
    variable.assign(value)


def _pairs(model, read):
  """Yields (our variable, the original's array) for every variable of the model."""
  parts = model if model.traits.autoregressive else model.net
  yield parts.embed.tokens.embeddings, read("shared_embedding")
  yield parts.embed.position_table, read("position_embeddings")
  yield parts.embed.bias, read("output_bias")
  yield parts.source_bias, read("source_language_bias")
  if not model.traits.autoregressive:
    yield parts.length, read("position_prediction_weights")
  for side in ("encoder", "decoder"):
    stack = getattr(parts, side)
    yield from _norm(stack.norm, f"{side}/LayerNorm", read)
    for i, block in enumerate(stack.blocks):
      yield from _block(block, f"{side}/layer_{i}", read)


def _block(block, scope, read):
  parts = [("self_attention", part) for part in block.self_attend]  # One: the model has one shard.
  parts += [("encdec_attention", part) for part in block.cross_attend]
  for name, part in parts:
    if part.cross:
      yield from _dense(part.query, scope, name, "q", read)
      yield from _dense(part.key_value, scope, name, "kv", read)
    else:
      yield from _dense(part.query_key_value, scope, name, "qkv", read)
    yield from _linear(part.out, f"{scope}/{name}/output_transform", read)
  yield from _linear(block.ffn_in[0], f"{scope}/feed_forward/input_layer", read)
  yield from _linear(block.ffn_out[0], f"{scope}/feed_forward/output_layer", read)
  names = [name for name, _ in parts] + ["feed_forward"]
  for name, norm in zip(names, block.norms, strict=True):
    yield from _norm(norm, f"{scope}/{name}/LayerNorm", read)


def _dense(dense, scope, name, letters, read):
  kernels = [read(f"{scope}/{name}/{letter}_transform/W") for letter in letters]
  yield dense.kernel, np.concatenate(kernels, -1)
  yield dense.bias, np.concatenate([read(f"{scope}/{name}/{letter}_transform/b") for letter in letters])


def _linear(dense, scope, read):
  yield dense.kernel, read(f"{scope}/W")
  yield dense.bias, read(f"{scope}/b")


def _norm(norm, scope, read):
  yield norm.gamma, read(f"{scope}/gamma")
  yield norm.beta, read(f"{scope}/beta")
