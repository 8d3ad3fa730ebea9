import io

from tf_nar.evaluate import progress


class Terminal(io.StringIO):

  def isatty(self):
    return True


def watch(monkeypatch, **options):
  """Counts 5 three times, a second apart from one to the next; returns what was logged."""
  said, seconds = [], iter(range(100))
  monkeypatch.setattr(progress.logging, "info", lambda text, *values: said.append(text % values))
  with progress.Progress("translate", clock=lambda: next(seconds), **options) as bar:
    for _ in range(3):
      bar.advance(5)
  return said


def test_a_log_has_a_line_now_and_then(monkeypatch):
  said = watch(monkeypatch, total=15, every=2, stream=io.StringIO())
  assert said[0].startswith("translate: 10 of 15 sentences, ")
  assert said[-1].startswith("translate: 15 of 15 sentences, ")
  assert len(said) == 2


def test_a_terminal_has_a_bar(monkeypatch):
  screen = Terminal()
  assert watch(monkeypatch, total=15, stream=screen) == []
  assert "translate: 100%" in screen.getvalue() and "15/15" in screen.getvalue()


def test_quiet_is_quiet(monkeypatch):
  screen = Terminal()
  assert watch(monkeypatch, stream=screen, quiet=True, every=0) == []
  assert screen.getvalue() == ""
