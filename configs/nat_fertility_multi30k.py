"""The NAT of Gu et al. on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned
  python bin/train.py --config=configs/nat_fertility_multi30k.py --data_dir=data/multi30k_en_de_aligned \\
      --workdir=runs/fertility

--set=model.copy=uniform, or soft, needs no alignments. Measured on a teacher's translations, with
--warm_start=multi30k_en_de/teacher: test BLEU 32.3, 33.9 with ten candidates that it ranks (docs/results/one_pass.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import nat_fertility


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="nat_fertility",
    model=nat_fertility.Config(student.model.net),
    search=nat_fertility.Search(),
    train=student.train,
  )
