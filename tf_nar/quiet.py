"""What TensorFlow says before anybody asked it: its notes on oneDNN, CUDA and the processor hide what a run prints."""
import glob
import os

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_GPUS = "/dev/nvidia[0-9]*", "/dev/dxg"  # The latter is a GPU's in Windows' Linux.


def hush():
  """Leaves TensorFlow its errors, unless the user has set what it may say; it must not be imported yet.

  Where there is no GPU it tells even that as an error, and is left nothing: what fails is an exception in any case.
  """
  if _LEVEL not in os.environ:
    os.environ[_LEVEL] = "2" if any(map(glob.glob, _GPUS)) else "3"
