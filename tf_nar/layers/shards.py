"""Sub-layers cut into shards, as Megatron-LM cuts them for several devices (Shoeybi et al., arXiv:1909.08053), here for
several cores that translate one sentence: a product of few rows is too small to be shared out by itself.

  attention(x) = sum over shards of heads           FFN(x) = sum over shards of the inner units

The maps into a sub-layer are cut by columns, that out of it by rows; its bias is the first shard's.
"""
import re

import numpy as np

# The maps into a sub-layer, and of how many maps side by side each is; the others lead out of it.
_INTO = {"query_key_value": 3, "key_value": 2, "query": 1, "ffn_in": 1}
_CUT = re.compile(r"(.*/)(self_attend|cross_attend|ffn_in|ffn_out)((?:/\w+)?)/(kernel|bias)")


def names(name, count):
  """Returns the names of the shards of a layer; one alone keeps its own."""
  return [name] if count == 1 else [f"{name}_{shard}" for shard in range(count)]


def cut(weights, count):
  """Returns {path: array} of a net of `count` shards, given that of the net of one."""
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
