"""EM on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges): two rounds after distillation.

  python data_prep/prepare.py --tokenizer=bpe --operations=10000 \\
      --source=train.lc.norm.tok.en --target=train.lc.norm.tok.de \\
      --valid_source=val.lc.norm.tok.en --valid_target=val.lc.norm.tok.de --out=data/multi30k_en_de
  python bin/em.py --config=configs/em_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/em_multi30k

The text is in data/task1/tok of github.com/multi30k/dataset. It takes hours on two CPU cores; the same command resumes
after an interruption. Measured on test_2016, tokenised BLEU, one pass with ODD: 30.0 after distillation, 31.3 and 33.3
after the EM rounds; teacher 39.8 (docs/results/em.md).
"""
from configs import ar_multi30k
from configs import nat_em_multi30k
from tf_nar import config as core_config
from tf_nar.em import config


def get_config():
  student = core_config.override(  # Trained from scratch, without a cooldown, so that the next round can continue.
    nat_em_multi30k.get_config(), "train.steps=2400", "train.optimizer.cooldown=0", "train.average=10")
  return config.Alternation(
    teacher=ar_multi30k.get_config(),
    student=student,
    rounds=3,  # The first is plain distillation.
    nbest=5,
    nbest_alpha=1.4,  # A smaller length penalty gives candidates that are too short.
    warm_start_teacher=True,
    warm_start_student=True,
    later_teacher_steps=480,
    later_student_steps=960,
  )
