"""Lets paths contain any character, although TensorFlow treats some paths as glob patterns."""
import atexit
import functools
import os
import re
import shutil
import tempfile

from tf_nar.data import atomic

_PLAIN = re.compile(r"[\w./~+=@%, -]*")  # Characters without a special meaning in TensorFlow's patterns.


def literal(path: str) -> str:
  """Returns a path to the same file or folder without characters that have a special meaning in patterns.

  TensorFlow finds checkpoints and SavedModels by patterns, and `run[1]` would not match itself. A path with such
  characters is replaced by a link in a temporary folder, which this process removes when it ends.

  Raises:
    ValueError: for such a path on gs://, which has no links.
  """
  if _PLAIN.fullmatch(path.replace("://", "", 1)):
    return path
  if atomic.is_remote(path):
    raise ValueError(f"{path} has characters that TensorFlow treats as a pattern; expected letters, digits and any of "
                     "._~+=@%,- only. Choose another name.")
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
