"""Says how likely a model holds given translations: log p(target | source), in nats, one number a line.

tf_nar/cli/score.py has its flags and its work; installed, it is `tf-nar score`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import score

if __name__ == "__main__":
  program.start(score)
