"""Exports a model of few passes to an OpenVINO folder, which needs only openvino, numpy and the tokeniser to translate.

tf_nar/cli/export_openvino.py has its flags and does the work; in the installed package it is `tf-nar export_openvino`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import export_openvino

if __name__ == "__main__":
  program.start(export_openvino)
