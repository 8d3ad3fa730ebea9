"""A plot is a PNG file, made without a screen."""
import contextlib
import warnings

from absl import logging

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
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
      yield axes
      with atomic.replacing(path) as file:
        figure.savefig(file, format="png", dpi=120)
    finally:
      pyplot.close(figure)
  lacking = [each for each in caught if "missing from font" in str(each.message)]
  if lacking:
    logging.warning("%s: the font of the plot lacks some characters of its names; it has boxes for them.", path)
  for each in caught:
    if each not in lacking:
      warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
