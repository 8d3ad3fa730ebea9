"""Non-autoregressive translation with TensorFlow and Keras.

  import tf_nar
  model = tf_nar.load("runs/x")       # A finished run, as a `Translator`.
  model.translate(["a low house"])    # From a list of strings to a list of strings.
  tf_nar.train("ar_multi30k", "data/x", "runs/y")

See docs/python.md for more. TensorFlow is imported when the first of these is used, not before.
"""
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from tf_nar.translator import Translator
  from tf_nar.translator import load
  from tf_nar.translator import train

__version__ = "0.1.0"
__all__ = ["Translator", "load", "train"]


def __getattr__(name):
  if name not in __all__:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  importlib.import_module("tf_nar.quiet").hush()
  # `tf_nar.train` is also a subpackage, which is made callable.
  return importlib.import_module("tf_nar.train") if name == "train" else getattr(
    importlib.import_module("tf_nar.translator"), name)
