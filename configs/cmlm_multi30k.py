"""The conditional masked language model on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/cmlm_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/cmlm

Validation translates in 4 decoder passes; bin/translate.py --set=search.passes=10 uses 10.
Measured on a teacher's translations, with --warm_start=multi30k_en_de/teacher, two trainings: test BLEU 32.5 and 33.0
by ten passes, 31.0 and 31.5 by four (docs/results/passes.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import cmlm


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="cmlm",
    model=cmlm.Config(student.model.net),
    search=cmlm.Search(passes=4, candidates=3),
    train=student.train,
  )
