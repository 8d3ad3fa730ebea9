"""What a variable's owner, the layer that made it, says of it."""


def spared(model):
  """Returns the paths of the variables that weight decay leaves alone.

  A layer says so in `no_decay`, the names of variables of its own: no rule about paths could know.
  """
  paths = set()
  for layer in model._flatten_layers():
    names = getattr(type(layer), "no_decay", ())
    own = layer._trainable_variables
    paths.update(variable.path for variable in own if variable.name in names)
  return paths
