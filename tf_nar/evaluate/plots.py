"""A plot is a PNG file, made without a screen."""
import contextlib

from tf_nar.data import atomic


@contextlib.contextmanager
def drawing(path, *, columns=1, size):
  """Gives the axes to draw on, one of each of `columns`; they become the PNG file `path`, local or gs://.

  Args:
    path: of the file.
    columns: how many axes, side by side.
    size: width and height in inches, of all together.

  Raises:
    ImportError: without matplotlib.
  """
  import matplotlib
  matplotlib.use("Agg")
  from matplotlib import pyplot
  figure, axes = pyplot.subplots(1, columns, figsize=size, layout="constrained")
  try:
    yield axes
    with atomic.replacing(path) as file:
      figure.savefig(file, format="png", dpi=120)
  finally:
    pyplot.close(figure)
