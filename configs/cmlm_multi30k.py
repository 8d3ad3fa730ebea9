"""The conditional masked language model on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/cmlm_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/cmlm

Validation translates in 4 passes; bin/translate.py --set=search.passes=10 in as many as asked for.
Measured with --warm_start of a teacher, test BLEU of ten passes 32.8 on raw text and 34.7 on distilled:
docs/results.md.
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import cmlm


def get_config():
  student = nat_em_multi30k.get_config()  # Nets and updates of the same size, to compare.
  return config.Experiment(
    family="cmlm",
    model=cmlm.Config(student.model.net),
    search=cmlm.Search(passes=4, candidates=3),
    train=student.train,
  )
