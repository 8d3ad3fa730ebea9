"""The updates that TensorBoard's profiler records."""
import pytest

from tf_nar.train import profiler


@pytest.mark.parametrize("steps, began, watched", [
  ((2, 4), 0, [2, 3]), ((2, 9), 0, [2, 3, 4, 5]), ((), 0, []),
  ((2, 4), 3, []),  # Resumed between them: a profile of a part would mislead.
])
def test_watches_what_it_is_told_to(monkeypatch, steps, began, watched):
  on, seen = [], []
  monkeypatch.setattr(profiler.tf.profiler.experimental, "start", lambda folder: on.append(folder))
  monkeypatch.setattr(profiler.tf.profiler.experimental, "stop", on.clear)
  with profiler.Profiler("run", steps) as profile:
    for step in range(began, 6):
      profile.before(step)
      seen += [step] if on else []
  assert seen == watched and not on
