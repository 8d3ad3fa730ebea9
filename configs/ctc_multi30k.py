"""CTC on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/ctc_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/ctc

Two places a source token are too few for 2 of the 28,998 training pairs, and for no validation pair.
Measured with --warm_start of a teacher, test BLEU 34.1 on raw text and 37.4 on distilled: docs/results.md.
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import ctc


def get_config():
  student = nat_em_multi30k.get_config()  # Nets and updates of the same size, to compare.
  return config.Experiment(
    family="ctc",
    model=ctc.Config(student.model.net),
    search=ctc.Search(),
    train=student.train,
  )
