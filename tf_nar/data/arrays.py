"""Named arrays as a file of numpy, .npz."""
import io
import zipfile
import zlib

import numpy as np

from tf_nar.data import atomic


def write(path: str, arrays: dict[str, np.ndarray], compressed: bool = False) -> None:
  """Writes {name: array}."""
  data = io.BytesIO()
  (np.savez_compressed if compressed else np.savez)(data, **arrays)
  atomic.write(path, data.getvalue())


def read(path: str) -> dict[str, np.ndarray]:
  """Returns {name: array}.

  Raises:
    ValueError: for a file that is none, or is cut.
  """
  with atomic.open_read(path) as file:
    data = file.read()
  try:
    return dict(np.load(io.BytesIO(data)))
  except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as problem:
    raise ValueError(f"{path} is broken ({problem}); restore it, or make it again.") from None
