"""Properties of variables that are declared by the layer that owns them."""
import keras

from tf_nar.layers import embedding


def spared(model: keras.Model) -> set[str]:
  """Returns the paths of the variables that are excluded from weight decay.

  A layer's class lists the names of such variables in `no_decay`, since a path alone does not tell.
  """
  paths = set()
  for layer in model._flatten_layers():
    names = getattr(type(layer), "no_decay", ())
    own = layer._trainable_variables
    paths.update(variable.path for variable in own if variable.name in names)
  return paths


def tables(model: keras.Model, side: str) -> set[str]:
  """Returns the paths of the variables that belong to the tokens of one vocabulary, "source" or "target"."""
  layers = (layer for layer in model._flatten_layers() if isinstance(layer, embedding.Embedding))
  return {variable.path for layer in layers for variable in layer.tables()[side]}
