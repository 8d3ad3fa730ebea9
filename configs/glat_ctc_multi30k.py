"""CTC with glancing on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges); all else as configs/ctc_multi30k.py.

  python bin/train.py --config=configs/glat_ctc_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/glat_ctc

Measured on a teacher's translations, with --warm_start=multi30k_en_de/teacher: test BLEU 37.3, and 38.9 after 300
updates by expected bigrams (model.ngrams=2) of the original text, 40.4 with nine candidates that the teacher ranks
(docs/results/em.md); with an older teacher 35.0 on the original text (docs/results/one_pass.md).
"""
import dataclasses

from configs import ctc_multi30k
from tf_nar.ops import glancing


def get_config():
  plain = ctc_multi30k.get_config()
  return dataclasses.replace(
    plain, model=dataclasses.replace(plain.model, glance=glancing.Glance(updates=1_200)))
