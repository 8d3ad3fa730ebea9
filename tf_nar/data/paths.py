"""What may stand in a path: anything. TensorFlow takes some of its paths for patterns, and is given others."""
import atexit
import functools
import os
import re
import shutil
import tempfile

from tf_nar.data import atomic

_PLAIN = re.compile(r"[\w./~+=@%, -]*")  # Characters that no matcher of TensorFlow's takes for a pattern.


def literal(path):
  """Returns a path to the same file or folder that is safe to give to what matches patterns.

  Checkpoints and SavedModels are found so by TensorFlow; `run[1]` would never match itself. A path with such characters
  is reached by a link in a temporary folder, which this process removes at its end.

  Raises:
    ValueError: for such a path on gs://, where there are no links.
  """
  if _PLAIN.fullmatch(path.replace("://", "", 1)):
    return path
  if atomic.is_remote(path):
    raise ValueError(f"{path} has characters that TensorFlow takes for a pattern; expected are letters, digits and "
                     "any of ._~+=@%,- here. Choose another name.")
  return _linked(os.path.abspath(path))


@functools.cache
def _linked(path):
  link = os.path.join(_folder(), str(_linked.cache_info().misses))
  os.symlink(path, link)
  return link


@functools.cache
def _folder():
  folder = tempfile.mkdtemp(prefix="tf_nar-")
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return folder
