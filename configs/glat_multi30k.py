"""The Glancing Transformer on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/glat_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/glat

Measured with --warm_start from a teacher: test BLEU 27.7 trained on raw text, 31.5 on distilled text
(docs/results/one_pass.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import glat
from tf_nar.ops import glancing


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="glat",
    model=glat.Config(student.model.net, glance=glancing.Glance(updates=1_200)),
    search=glat.Search(odd=False),  # As in the paper; search.odd=True never repeats a token.
    train=student.train,
  )
