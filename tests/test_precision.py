"""Training in bfloat16 learns the same as training in float32."""
import dataclasses

import pytest

from configs import em_toy
from tf_nar import fit
from tf_nar.data import toy
from tf_nar.train import monitor


@pytest.mark.slow
def test_quality_on_the_toy_pair_does_not_depend_on_the_precision(tmp_path):
  alternation = em_toy.get_config()
  # Each source has a single translation, so that a student can learn all of it.
  data, last = str(tmp_path / "data"), {}
  toy.write(data, dataclasses.replace(alternation.data, modes=1, first_share=1.0))
  for dtype in ("float32", "mixed_bfloat16"):
    student = alternation.student
    net = dataclasses.replace(student.model.net, dtype=dtype)
    train = dataclasses.replace(student.train, steps=400, validate_every=400)
    student = dataclasses.replace(student, model=dataclasses.replace(student.model, net=net), train=train)
    fit.fit(student, data, str(tmp_path / dtype))
    last[dtype] = monitor.read(str(tmp_path / dtype))[-1]
  exact, half = last["float32"], last["mixed_bfloat16"]
  assert exact["valid_bleu"] > 90
  assert abs(half["valid_bleu"] - exact["valid_bleu"]) < 3
  assert abs(half["valid_ncm"] - exact["valid_ncm"]) < 0.05
