"""EM on Multi30k en-de with CTC and glancing as the student; all else as configs/em_multi30k.py.

  python bin/em.py --config=configs/em_glat_ctc_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/em_glat_ctc

It takes hours on two CPU cores; the same command resumes after an interruption. Measured from the packed teacher: test
BLEU 37.4 after distillation and 38.2 after a round more; fine-tuned by bigrams, as in configs/best_multi30k.py, 38.8
and 39.5 (docs/results/em.md).
"""
import dataclasses

from configs import em_multi30k
from configs import glat_ctc_multi30k


def get_config():
  return dataclasses.replace(em_multi30k.get_config(), student=glat_ctc_multi30k.get_config())
