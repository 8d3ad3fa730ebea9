"""Locks a folder, so that only one process at a time writes to it."""
import contextlib
import os
from typing import Iterator

from tf_nar.data import atomic

try:
  import fcntl
except ImportError:  # Windows has no fcntl.
  fcntl = None

_HELD = set()  # Folders that this process has locked; locking them again has no effect.


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
  """Locks a local folder for this process; the operating system releases the lock however the process ends.

  Raises:
    ValueError: if another process has locked it.
  """
  if fcntl is None or atomic.is_remote(folder) or os.path.realpath(folder) in _HELD:
    yield
    return
  descriptor = os.open(folder, os.O_RDONLY)  # The folder itself is locked, so no file is left behind.
  try:
    try:
      fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise ValueError(
        f"{folder} is in use by another process; wait for its end, or choose another --workdir.") from None
    except OSError:
      pass  # The file system has no locks.
    _HELD.add(os.path.realpath(folder))
    yield
  finally:
    _HELD.discard(os.path.realpath(folder))
    os.close(descriptor)
