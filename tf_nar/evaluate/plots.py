"""Writes plots as PNG files, without a display."""
import contextlib
import warnings
from typing import Any, Iterable, Iterator

from absl import logging

from tf_nar.data import atomic

MARKERS = "osD^vP*X<>ph"  # Of matplotlib; one for each kind of point.


def plain(axis: Any) -> None:
  """Gives a logarithmic matplotlib axis ticks at 1, 2 and 5 of each power of ten, as plain numbers."""
  from matplotlib import ticker
  axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axis.set_major_formatter("{x:g}")
  axis.set_minor_locator(ticker.NullLocator())


def name(axes: Any, points: Iterable[tuple[float, float, str]]) -> None:
  """Writes the names of points (x, y, name) beside them, where they cover neither points nor each other; in the end.
  """
  import adjustText
  points = list(points)
  names = [axes.text(*point, fontsize=8) for point in points]
  axes.figure.canvas.draw()  # Makes the layout, which labels are placed in.
  adjustText.adjust_text(
    names, *zip(*(point[:2] for point in points), strict=True), ax=axes, expand=(1.3, 1.6),
    arrowprops={"arrowstyle": "-", "lw": 0.5, "shrinkB": 4})


@contextlib.contextmanager
def drawing(path: str, *, columns: int = 1, size: tuple[float, float]) -> Iterator[Any]:
  """Context manager of the axes to draw on, one per column; they are written to the PNG file `path`, local or gs://.

  Args:
    path: the path of the file.
    columns: number of axes, side by side.
    size: width and height of the figure in inches.

  Raises:
    ImportError: if matplotlib is not installed.
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
    logging.warning("%s: the font of the plot lacks some characters of the names; boxes are drawn for them.", path)
  for each in caught:
    if each not in lacking:
      warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
