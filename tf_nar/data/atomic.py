"""A file, or a folder, is either whole or not there: it is written under another name and renamed."""
import contextlib
import os
import socket

import tensorflow as tf

# What TensorFlow says of files that cannot be read or written; no kind of OSError.
UNREACHABLE = tf.errors.PermissionDeniedError, tf.errors.NotFoundError


@contextlib.contextmanager
def renamed(path):
  """Gives a temporary path to write to; it becomes `path` if nothing was raised meanwhile."""
  # A name that no other machine takes: several may write one folder at once.
  temporary = f"{path}.{socket.gethostname()}-{os.getpid()}.tmp"
  yield temporary
  tf.io.gfile.rename(temporary, path, overwrite=True)


def write(path, data):
  """Writes `data` (bytes) as `path`."""
  with renamed(path) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
    file.write(data)


@contextlib.contextmanager
def folder(out):
  """Gives a temporary folder to fill; it becomes `out`, or nothing if anything was raised.

  Raises:
    ValueError: if `out` is there already.
  """
  out = out.rstrip("/")
  if tf.io.gfile.exists(out):
    raise ValueError(f"{out} is there already; choose another --out, or remove it.")
  temporary = f"{out}.tmp"
  if tf.io.gfile.exists(temporary):
    tf.io.gfile.rmtree(temporary)  # Of one that was killed.
  tf.io.gfile.makedirs(temporary)
  try:
    yield temporary
    tf.io.gfile.rename(temporary, out)
  finally:
    if tf.io.gfile.exists(temporary):
      tf.io.gfile.rmtree(temporary)
