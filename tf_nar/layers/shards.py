"""Tensor parallelism over CPU cores: sub-layers are split into shards as in Megatron-LM (Shoeybi et al.,
arXiv:1909.08053).

Megatron-LM splits them over devices. Here several cores translate one sentence, whose matrix products have too few
rows for TensorFlow to parallelise each of them well.

  attention(x) = sum over shards of heads           FFN(x) = sum over shards of the inner units

Input projections are split by columns and output projections by rows; the first shard has the output bias, and that
of the others is 0.
"""
import keras
import numpy as np

from tf_nar.layers import dense as dense_lib


def names(name: str, count: int) -> list[str]:
  """Returns the names of the shards of a layer; a single shard keeps the layer's name."""
  return [name] if count == 1 else [f"{name}_{shard}" for shard in range(count)]


def cut(weights: dict[str, np.ndarray], model: keras.Model) -> dict[str, np.ndarray]:
  """Converts the weights {path: array} of a model with one shard to those of `model`, which may have several.

  A layer names the attributes that are lists of shards in `sharded`, as `transformer.Block`; how a weight is cut is
  declared by `dense.Dense.projections`.
  """
  found, whole = {}, set()
  for layer in model._flatten_layers():
    for name in getattr(type(layer), "sharded", ()):
      parts = getattr(layer, name)
      for shard, part in enumerate(parts):
        for dense in (each for each in part._flatten_layers() if isinstance(each, dense_lib.Dense)):
          for variable in dense.variables:
            path = f"{layer.path}/{name}{variable.path.removeprefix(part.path)}"
            if path in weights:  # `runs.assign` names one that is missing.
              whole.add(path)
              found[variable.path] = _part(weights[path], variable.name, dense.projections, shard, len(parts))
  return {path: weight for path, weight in weights.items() if path not in whole} | found


def _part(weight, kind, projections, shard, count):
  """Returns one of the `count` parts of the "kernel" or "bias" of a dense layer."""
  if projections:
    side_by_side = weight.reshape(*weight.shape[:-1], projections, -1)
    return np.split(side_by_side, count, -1)[shard].reshape(*weight.shape[:-1], -1)
  if kind == "kernel":
    return np.split(weight, count)[shard]
  return weight if shard == 0 else np.zeros_like(weight)
