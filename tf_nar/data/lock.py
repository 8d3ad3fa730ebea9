"""One process at a time writes a folder."""
import contextlib
import os

from tf_nar.data import atomic

try:
  import fcntl
except ImportError:  # Not on Windows.
  fcntl = None

_HELD = set()  # By this process, which may ask again.


@contextlib.contextmanager
def held(folder):
  """Holds a local folder for this process; the operating system lets go of it when the process ends, however it ends.

  Raises:
    ValueError: if another process holds it.
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
      pass  # A file system without locks.
    _HELD.add(os.path.realpath(folder))
    yield
  finally:
    _HELD.discard(os.path.realpath(folder))
    os.close(descriptor)
