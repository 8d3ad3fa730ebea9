"""Numbers, tables and bars of a terminal."""
import io

import pytest

from tf_nar import display


@pytest.mark.parametrize("value, text", [(3.361e-132, "0.00"), (5e-7, "5e-07"), (0.0, "0"), (31.246, "31.25")])
def test_a_number_that_is_nearly_0(value, text):
  assert display.number(value) == text


def test_a_table_is_aligned_and_explained():
  shown = display.table(["round", "NCM\nraw", "x"], [["0", "0.5", "[b]1"], ["10", "12.25", "-"]], ["A legend."])
  assert shown.splitlines() == [
    "          NCM",
    "round     raw      x",
    "─" * 20,
    "0         0.5   [b]1",
    "10      12.25      -",
    "",
    "A legend."]


def test_a_legend_explains_what_is_shown():
  assert display.legend(["repeats", "x"], {"x": "x is y.", "z": "-"}) == [display.LEGENDS["repeats"], "x is y."]
  assert display.legend(["NCM\nraw"])[0].startswith("NCM, normalised multi-modality: -log p")


def test_a_bar_fits_a_terminal_of_80_columns(monkeypatch):
  monkeypatch.setenv("COLUMNS", "200")
  screen = io.StringIO()
  screen.isatty = lambda: True
  with display.bar("distilled", 10_000, unit="updates", initial=5, rate=False, file=screen) as bar:
    bar.update(995)
    bar.set_postfix_str("loss 3.214, 8.12k tokens/s")
    last = str(bar)
  assert len(last) <= display.WIDTH and last.startswith("distilled:  10% |")
  assert "1000/10000 [" in last and last.endswith(", loss 3.214, 8.12k tokens/s]")
