"""Training. The package is callable: `tf_nar.train(...)` is `tf_nar.translator.train(...)`."""
import importlib
import sys
import types


class _Door(types.ModuleType):
  """A callable module: importing the package would otherwise replace the function `tf_nar.train` by the module."""

  def __call__(self, *args, **options):
    return importlib.import_module("tf_nar.translator").train(*args, **options)


sys.modules[__name__].__class__ = _Door
