"""The NAT of Gu et al. on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned
  python bin/train.py --config=configs/nat_fertility_multi30k.py --data_dir=data/multi30k_en_de_aligned \\
      --workdir=runs/fertility

--set=model.copy=uniform, or soft, needs no alignments. Measured with --warm_start from a teacher: test BLEU 30.6
trained on raw text, 33.1 on distilled text, 35.1 with ten candidates ranked by the teacher (docs/results/one_pass.md).
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
