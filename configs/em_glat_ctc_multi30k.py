"""EM on Multi30k en-de with the best single-pass student, CTC with glancing, which starts from its teacher's weights.

  python bin/em.py --config=configs/em_glat_ctc_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/em_glat_ctc

It takes hours on two CPU cores; the same command resumes after an interruption. Only a student like that of its first
round is measured, of configs/best_multi30k.py: test BLEU 37.3, and 38.9 after bigrams (docs/results/em.md).
"""
import dataclasses

from configs import em_multi30k
from configs import glat_ctc_multi30k
from tf_nar import config


def get_config():
  return dataclasses.replace(
    em_multi30k.get_config(),
    student=config.override(glat_ctc_multi30k.get_config(), "train.steps=2640", "model.glance.updates=2400"),
    student_from_teacher=True,
    raw_student=False,  # Trained from scratch, it would need more updates.
  )
