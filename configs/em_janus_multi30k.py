"""EM on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges) with one model at both ends.

  python bin/em.py --config=configs/em_janus_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/em_janus

In each round a JANUS is trained, proposes translations by its beam search, and scores them by its other mode; the next
one is trained on those selected, from the weights before. Measured from a JANUS of distilled text: a round of 240
updates made translations shorter, and test BLEU 1.5 (beam search) and 0.3 (ten passes) lower (docs/results/em.md).
"""
import dataclasses

from configs import em_multi30k
from configs import janus_multi30k
from tf_nar import config


def get_config():
  teacher = config.override(  # Without a cooldown, so that the next round can continue.
    janus_multi30k.get_config(), "train.steps=2400", "train.optimizer.cooldown=0", "train.average=10")
  return dataclasses.replace(
    em_multi30k.get_config(),
    teacher=teacher,
    student=config.override(teacher, "model.scores=nar", "search.mode=nar", "search.candidates=5"),
    nbest_alpha=1.4,
    one_model=True,
    later_teacher=("train.steps=480",),
    student_from_teacher=False,
  )
