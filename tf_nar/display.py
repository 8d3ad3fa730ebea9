"""What a terminal shows: numbers, tables with a legend, and progress bars of at most 80 columns.

rich and tqdm are imported when they are used, as programs import this module before they parse their flags.
"""
import io
import shutil
import textwrap
from typing import Any, Iterable, Sequence, TextIO

WIDTH = 80
TINY = 1e-12  # A smaller number is shown as 0, as a BLEU without any match is.
LEGENDS = {  # Part of a heading -> what it means.
  "NCM": "NCM, normalised multi-modality: -log p of the targets under the NAR model, in nats per token; "
         "text of a lower NCM is easier to model. At most: if the family's score is a lower bound of log p.",
  "repeats": "repeats: share of words that equal the word before.",
}


def number(value: float, form: str = ".4g") -> str:
  """Returns a number as text."""
  return "0.00" if 0 < abs(value) < TINY else format(value, form)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], legend: Iterable[str] = ()) -> str:
  """Returns a table as text without colours: the first column left-aligned, the others right-aligned.

  Args:
    heads: headings, which may have several lines.
    rows: lists of strings, as many as there are headings.
    legend: sentences below the table, each from a new line on.
  """
  from rich import box
  from rich import console
  from rich import table as rich_table

  made = rich_table.Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
  for n, head in enumerate(heads):
    made.add_column(head, justify="right" if n else "left", no_wrap=True)
  for row in rows:
    made.add_row(*row)
  # A console that is narrower than the table would cut its cells.
  out = console.Console(file=io.StringIO(), width=1_000, color_system=None, markup=False, emoji=False, highlight=False)
  out.print(made)
  lines = [line.rstrip() for line in out.file.getvalue().splitlines()]
  about = [line for each in legend for line in textwrap.wrap(each, WIDTH)]
  return "\n".join(lines + [""] * bool(about) + about)


def legend(heads: Iterable[str], more: dict[str, str] | None = None) -> list[str]:
  """Returns the sentences that explain some headings, of `LEGENDS` and of `more`, which is like it."""
  return [about for part, about in (LEGENDS | (more or {})).items() if any(part in head for head in heads)]


def bar(what: str, total: float | None, *, unit: str, initial: float = 0, rate: bool = True, file: TextIO | None = None,
        disable: bool | None = None) -> Any:
  """Returns a tqdm progress bar.

  Args:
    what: the name of the job, which begins the bar.
    total: the number of units; None if it is unknown.
    unit: the name of the units, in the plural.
    initial: units done before.
    rate: whether to show units per second.
    file: the stream; None: standard error.
    disable: True: show nothing; None: show nothing unless the stream is a terminal.
  """
  import tqdm
  speed = ", {rate_fmt}" if rate else ""
  form = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}" + speed + "{postfix}]"
  return tqdm.tqdm(
    total=total, initial=initial, desc=what, unit=f" {unit}", file=file, disable=disable,
    ncols=min(WIDTH, shutil.get_terminal_size().columns), bar_format=form if total else None)


def duration(seconds: float) -> str:
  """Returns seconds as text: 07:40, 1:07:40."""
  import tqdm
  return tqdm.tqdm.format_interval(seconds)


def count(value: float) -> str:
  """Returns a large number as text: 812, 8.12k."""
  import tqdm
  return tqdm.tqdm.format_sizeof(value)
