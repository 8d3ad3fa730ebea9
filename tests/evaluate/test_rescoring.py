from types import SimpleNamespace

import pytest

from tf_nar.evaluate import rescoring


def run(name, words="v1", places=16):
  net = SimpleNamespace(max_length=places)
  return SimpleNamespace(workdir=name, vocab=SimpleNamespace(sha256=words), model=SimpleNamespace(score=name),
                         experiment=SimpleNamespace(model=SimpleNamespace(net=net)))


def test_the_teacher_scores():
  assert rescoring.by(run("ar", places=20), run("nat")) == "ar"


@pytest.mark.parametrize("teacher, message", [
    (run("ar", words="v2"), "ar cannot rescore nat: its vocabulary is another one"),
    (run("ar", places=8), "ar cannot rescore nat: it takes 8 tokens, fewer than 16; train it with"),
])
def test_refusals(teacher, message):
  with pytest.raises(ValueError, match=message):
    rescoring.by(teacher, run("nat"))
