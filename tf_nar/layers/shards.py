"""Tensor parallelism over CPU cores: sub-layers are split into shards as in Megatron-LM (Shoeybi et al.,
arXiv:1909.08053).

Megatron-LM splits them over devices. Here several cores translate one sentence, whose matrix products have too few
rows for TensorFlow to parallelise each of them well.

  attention(x) = sum over shards of heads           FFN(x) = sum over shards of the inner units

Input projections are split by columns and output projections by rows; the first shard has the output bias, and that
of the others is 0.
"""
import re

import numpy as np

# The input projections, each with the number of projections stored side by side in it; all others are output ones.
_INTO = {"query_key_value": 3, "key_value": 2, "query": 1, "query_key": 2, "value": 1, "ffn_in": 1, "gate_in": 1}
_CUT = re.compile(r"(.*/)((?:self|cross|position)_attend|(?:ffn|gate)_(?:in|out))((?:/\w+)?)/(kernel|bias)")


def names(name: str, count: int) -> list[str]:
  """Returns the names of the shards of a layer; a single shard keeps the layer's name."""
  return [name] if count == 1 else [f"{name}_{shard}" for shard in range(count)]


def cut(weights: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
  """Converts the weights {path: array} of a model with one shard to those of a model with `count` shards."""
  if count == 1:
    return weights
  found = {}
  for path, weight in weights.items():
    match = _CUT.fullmatch(path)
    if not match:
      found[path] = weight
      continue
    scope, name, inner, kind = match.groups()
    parts = _parts(weight, (inner or name).lstrip("/"), kind, count)
    found |= {f"{scope}{shard}{inner}/{kind}": part for shard, part in zip(names(name, count), parts, strict=True)}
  return found


def _parts(weight, name, kind, count):
  if name in _INTO:
    side_by_side = weight.reshape(*weight.shape[:-1], _INTO[name], -1)
    return [part.reshape(*weight.shape[:-1], -1) for part in np.split(side_by_side, count, -1)]
  if kind == "kernel":
    return np.split(weight, count)
  return [weight] + [np.zeros_like(weight)] * (count - 1)
