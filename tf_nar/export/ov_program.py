"""Translates stdin, line by line, with the OpenVINO model of this folder; `Translator` does so for a program.

  python translate.py < text

Needs the packages openvino and numpy and, depending on the vocabulary, subword-nmt or sentencepiece; nothing else.
model.xml, and decoder.xml of a model that predicts lengths, are the network; the search is here and in ov_search.py,
with the options of metadata.json. Shapes: B sentences of S tokens, N candidates of each, R = B N rows of T positions.
"""
import json
import os
import runpy
import sys

import numpy as np
import openvino

PAD, EOS, UNK, BOS, MASK = range(5)
NEVER, WALKS = -float("inf"), ("greedy", "lookahead")
VOCABULARIES = "vocab.model", "vocab.txt"  # A separate one of the source has "source." before its name.
SEARCHES = runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ov_search.py"))
POSITIONS = 512  # Padded source tokens of all candidates of a batch, which bound the logits in memory.


class Translator:
  """Translates raw text to raw text, or tokenised to tokenised text if the vocabulary is one of tokenised text."""

  def __init__(self, folder, threads=0):
    """Args: folder: that of model.xml; threads: of one translation; 0: as many as OpenVINO chooses."""
    with open(os.path.join(folder, "metadata.json"), encoding="utf-8") as file:
      self.about = json.load(file)
    kind, path = Pieces if self.about["tokenization"] == "sentencepiece" else Words, os.path.join(folder, "source.")
    self._vocab = kind(os.path.join(folder, ""))
    self._source = kind(path) if any(os.path.exists(path + name) for name in VOCABULARIES) else self._vocab
    self._repeatable = np.isin(np.arange(self.about["vocabulary"]), self.about["repeatable"])
    options = self.about["openvino_options"] | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
    path = lambda name: os.path.join(folder, f"{name}.xml")
    self.networks = {name: Network(path(name), options)
                     for name in ("model", "decoder") if os.path.exists(path(name))}
    self.alone = {width: Network(path("model"), options, [1, width]) for width in self.about["fixed_lengths"]}
    self._options = self.about["search"]
    search = {"ctc": self._beam if self._options.get("beam", 1) > 1 else self._collapsed, "cmlm": self._refined,
              "dag": self._walk if self._options.get("method") in WALKS else self._paths}
    self._search = search.get(self.about["family"], self._one_pass)

  def __call__(self, lines):
    """Returns the translation of each line, blank for a blank line."""
    return [candidates[0][0] for candidates, _ in self.answers(lines)]

  def answers(self, lines: list[str]) -> list[tuple[list[tuple[str, float]], bool]]:
    """Returns for each line a list of (translation, score), best first, and whether the line was cut as too long."""
    longest = self.about["max_length"]
    ids = [self._source.encode(line) for line in lines]
    found = [[("", 0.0)] for _ in ids]
    left = sorted((row for row in range(len(ids)) if ids[row]), key=lambda row: -len(ids[row]))
    while left:
      width = min(len(ids[left[0]]) + 1, longest)
      count = max(1, POSITIONS // (width * self._options.get("candidates", 1)))
      rows, left = left[:count], left[count:]
      if len(rows) == 1:
        width = min((fixed for fixed in self.alone if fixed >= width), default=width)
      batch = np.zeros([len(rows), width], np.int32)
      for row, positions in zip(rows, batch, strict=True):
        tokens = [*ids[row][:longest - 1], EOS]
        positions[:len(tokens)] = tokens
      for row, candidates in zip(rows, self._search(batch), strict=True):
        found[row] = [(self._vocab.decode(tokens), float(score)) for score, tokens in candidates]
    return [(each, len(tokens) >= longest) for each, tokens in zip(found, ids, strict=True)]

  def _encode(self, ids):
    """Returns the outputs of the first network, by name."""
    network = self.alone.get(ids.shape[1]) if len(ids) == 1 else None
    return (network or self.networks["model"])(ids=ids)

  # A search returns for each row of ids int32 [B, S] a list of (score, tokens), best first.

  def _collapsed(self, ids):
    """CTC: the best path without repeats and blanks, which are MASK."""
    found = self._encode(ids)
    positions = found["token"].shape[1] // ids.shape[1] * (ids != PAD).sum(1)
    inside = np.arange(found["token"].shape[1]) < positions[:, None]
    token = np.where(inside, found["token"], MASK)
    kept = (token != MASK) & (token != _before(token))
    scores = np.where(inside, found["log_prob"], 0).sum(1)
    return [[(score, row[keep][:self.about["max_length"]])]
            for score, row, keep in zip(scores, token, kept, strict=True)]

  def _beam(self, ids):
    """CTC: the best sentences, by a beam of prefixes."""
    found, options = self._encode(ids), self._options
    positions = found["token"].shape[1] // ids.shape[1] * (ids != PAD).sum(1)
    return SEARCHES["prefix_beam"](
      found["token"], found["log_prob"], found["every"], positions, beam=options["beam"], nbest=options["candidates"],
      longest=self.about["max_length"], bonus=options["bonus"])

  def _graph(self, ids):
    """Returns links, and the best tokens with their log p and the last vertices, at which EOS is certain."""
    found, rows = self._encode(ids), np.arange(len(ids))
    token, log_prob = found["token"].copy(), found["log_prob"].copy()
    end = token.shape[1] // ids.shape[1] * (ids != PAD).sum(1) - 1
    token[rows, end], log_prob[rows, end] = EOS, 0
    return found["links"], token, log_prob, end

  def _paths(self, ids):
    """DA-Transformer: the best paths, with log p of their tokens if "joint"."""
    (links, token, log_prob, end), options = self._graph(ids), self._options
    found = SEARCHES["viterbi"](
      links, log_prob * (options["method"] == "joint"), end, penalty=options["penalty"],
      candidates=options["candidates"], steps=min(self.about["max_length"], token.shape[1] - 1))
    said = [[(score, words[path]) for score, path in paths] for words, paths in zip(token, found, strict=True)]
    return [[(score, self._unrepeated(tokens)) for score, tokens in each] for each in said]

  def _unrepeated(self, tokens):
    return tokens[(tokens != _before(tokens[None])[0]) | (not self._options["collapse"])]

  def _walk(self, ids):
    """DA-Transformer: the best transition from each vertex, with log p of the next token if "lookahead"."""
    (links, token, log_prob, end), options = self._graph(ids), self._options
    count, rows = token.shape[1], np.arange(len(ids))
    following = (links + log_prob[:, None] * (options["method"] == "lookahead")).argmax(-1)
    vertex, score, path = np.zeros_like(end), np.zeros(len(ids), np.float32), []
    for _ in range(min(self.about["max_length"], count - 1)):
      there = np.where(vertex == end, end, following[rows, vertex])
      score += np.where(vertex == end, 0, links[rows, vertex, there] + log_prob[rows, there])
      vertex = there
      path.append(token[rows, vertex])
      if (vertex == end).all():
        break
    return [[(each, self._unrepeated(said))] for each, said in zip(score, np.stack(path, 1), strict=True)]

  def _one_pass(self, ids):
    """One decoder pass for all length candidates, ranked by log p / ((5 + T) / 6)^alpha."""
    found, options = self._encode(ids), self._options
    if "fertility" in found:
      fertility, prior = found["fertility"], found["prior"]
      lengths, fertility = fertility.sum(-1), fertility.reshape(-1, ids.shape[1])
    else:
      lengths, fertility = self._around(found["length"]), None
      fertile = self.about["family"] == "nat_fertility"
      prior = np.take_along_axis(_log_softmax(found["length"]), lengths, 1) if fertile else 0
    flat = lengths.ravel()
    tokens, log_prob = self._decode(ids, found["states"], np.zeros([len(flat), flat.max()], np.int32), flat, fertility)
    said, score = zip(*(self._read(*row) for row in zip(tokens, log_prob, flat, strict=True)), strict=True)
    score = (np.reshape(score, lengths.shape) + prior) / ((5 + lengths) / 6) ** options["alpha"]
    return _ranked(score, said)

  def _around(self, logits):
    """Returns the lengths int32 [B, N] around the most probable one; logits float32 [B, max_length + 1]."""
    count, least = self._options["candidates"], max(self._options.get("min_length", 2), 2)
    first = np.maximum(logits.argmax(-1) - count // 2, least)
    return np.clip(first[:, None] + np.arange(count), 1, self.about["max_length"]).astype(np.int32)

  def _read(self, token, log_prob, length):
    """Returns the tokens of a row and the sum of their log p, given the best of each position, [T, K]."""
    token, log_prob = token[:length], log_prob[:length]
    best = token[:, 0]
    same = best[1:] == best[:-1]
    if not self._options["odd"] or not (same & ~self._free(best[1:])).any():
      return best, log_prob[:, 0].sum()
    choice = SEARCHES["without_repeats"](token.tolist(), log_prob.tolist(), self._free(token).tolist())
    at = np.arange(length)
    return token[at, choice], log_prob[at, choice].sum()

  def _free(self, token):
    """Returns which tokens may be repeated."""
    return np.zeros(token.shape, bool) if self._options["odd_everywhere"] else self._repeatable[token]

  def _refined(self, ids):
    """Mask-Predict: each pass predicts the tokens with the lowest log p again; candidates of the likeliest lengths."""
    found, options = self._encode(ids), self._options
    least = max(options["min_length"], 2)
    order = np.argsort(-found["length"][:, least:], axis=1, kind="stable")
    lengths = (order[:, :options["candidates"]] + least).astype(np.int32)
    flat = lengths.ravel()
    inside = np.arange(flat.max()) < flat[:, None]
    said, sure = np.where(inside, MASK, PAD).astype(np.int32), np.zeros(inside.shape, np.float32)
    over = np.zeros(len(flat), bool)
    for number in range(options["passes"]):
      masked = np.floor((1 - number / options["passes"]) * flat).clip(options["min_masked"])
      rank = np.argsort(np.argsort(np.where(inside, sure, np.inf), axis=1, kind="stable"), axis=1)
      hidden = inside & (rank < masked[:, None])
      token, log_prob = self._decode(ids, found["states"], np.where(hidden, MASK, said).astype(np.int32), flat)
      written = (inside if options["repredict_all"] else hidden) & ~over[:, None]
      before, said = said, np.where(written, token[..., 0], said)
      sure = np.where(written, log_prob[..., 0], sure)
      over |= (before == said).all(1) & options["stop"]
      if over.all():
        break
    return _ranked((sure.sum(1) / flat).reshape(lengths.shape), [row[:n] for row, n in zip(said, flat, strict=True)])

  def _decode(self, ids, states, canvas, lengths, fertility=None):
    """Returns the best tokens of each position and their log p, [R, T, K], of canvas int32 [R, T]."""
    source = np.repeat(ids, len(lengths) // len(ids), 0)
    found = self.networks["decoder"](
      ids=ids, states=states, canvas=canvas, lengths=lengths.astype(np.int32), source=source, fertility=fertility)
    return found["token"], found["log_prob"]


class Network:
  """A function from inputs by name to outputs by name, which the next call overwrites."""

  def __init__(self, path, options, shape=None):
    """Args: path: of the .xml; options: of the CPU device; shape: of its one input, if that is fixed."""
    core = openvino.Core()
    model = core.read_model(path)
    if shape:
      model.reshape(shape)
    compiled = core.compile_model(model, "CPU", options)
    self.names = {name for port in compiled.inputs for name in port.names}
    self._request = compiled.create_infer_request()

  def __call__(self, **given):
    """Inputs that the network does not have are left out."""
    found = self._request.infer({name: given[name] for name in self.names}, share_inputs=True, share_outputs=True)
    return {name: value for port, value in found.items() for name in port.names}


def _before(tokens):
  """int32 [B, T] -> the token before each, -1 before the first."""
  return np.pad(tokens, [[0, 0], [1, 0]], constant_values=-1)[:, :-1]


def _log_softmax(logits):
  over = logits - logits.max(-1, keepdims=True)
  return over - np.log(np.exp(over).sum(-1, keepdims=True))


def _ranked(score, said):
  """Returns for each sentence the list of (score, tokens), best first; score [B, N], said has R rows."""
  count = score.shape[1]
  return [[(row[n], said[number * count + n]) for n in np.argsort(-row, kind="stable")]
          for number, row in enumerate(score)]


class Words:
  """A vocabulary that is a list of tokens, with or without byte-pair merges."""

  def __init__(self, prefix):
    """Args: prefix: what the paths of its files begin with."""
    path = lambda name: prefix + name
    with open(path("vocab.txt"), encoding="utf-8", newline="\n") as file:
      tokens = file.read().removesuffix("\n").split("\n")
    reserved = 5 if tokens[4:5] == ["<mask>"] else 4
    self._ids = {token: number for number, token in enumerate(tokens) if number >= reserved}
    part = [token.endswith("@@") and token != "@@" for token in tokens]
    self._surfaces = [token.removesuffix("@@") if inside else f"{token} "
                      for token, inside in zip(tokens, part, strict=True)]
    for silent in {PAD, BOS} | ({MASK} if reserved == 5 else set()):
      self._surfaces[silent] = ""
    self._merges = None
    if os.path.exists(path("bpe.codes")):
      from subword_nmt import apply_bpe
      with open(path("bpe.codes"), encoding="utf-8") as file:
        self._merges = apply_bpe.BPE(file, vocab=set(self._ids))

  def encode(self, line: str) -> list[int]:
    words = [word for word in line.split(" ") if word]
    return [self._ids.get(word, UNK) for word in (self._merges.segment_tokens(words) if self._merges else words)]

  def decode(self, ids: list[int]) -> str:
    return "".join(self._surfaces[i] for i in _until_end(ids)).removesuffix(" ")


class Pieces:
  """A vocabulary that is a SentencePiece model."""

  def __init__(self, prefix):
    import sentencepiece
    self._pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}vocab.model")
    tokens = [self._pieces.id_to_piece(number) for number in range(len(self._pieces))]
    self._silent = {PAD, BOS} | ({MASK} if tokens[MASK] == "<mask>" else set())

  def encode(self, line: str) -> list[int]:
    return self._pieces.encode(line)

  def decode(self, ids: list[int]) -> str:
    return self._pieces.decode([i for i in _until_end(ids) if i not in self._silent])


def _until_end(ids):
  """Returns the list of ids before the first EOS."""
  ids = [int(i) for i in ids]
  return ids[:ids.index(EOS)] if EOS in ids else ids


def main() -> None:
  translate = Translator(os.path.dirname(os.path.abspath(__file__)))
  for line in sys.stdin:
    print(translate([line.rstrip("\n")])[0], flush=True)


if __name__ == "__main__":
  main()
