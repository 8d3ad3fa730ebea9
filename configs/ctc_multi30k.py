"""CTC on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/ctc_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/ctc

Two decoder positions per source token are too few for 2 of the 28,998 training pairs, and for no validation pair.
Measured with --warm_start from a teacher: test BLEU 34.1 trained on raw text, 37.4 on distilled text
(docs/results/one_pass.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import ctc


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="ctc",
    model=ctc.Config(student.model.net),
    search=ctc.Search(),
    train=student.train,
  )
