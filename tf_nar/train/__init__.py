"""Training. The package can be called: `tf_nar.train(...)` is `tf_nar.translator.train(...)`."""
import importlib
import sys
import types


class _Door(types.ModuleType):
  """A module by whose name a function is called too; any import of the package would hide a function of that name."""

  def __call__(self, *args, **options):
    return importlib.import_module("tf_nar.translator").train(*args, **options)


sys.modules[__name__].__class__ = _Door
