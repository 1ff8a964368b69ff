"""The tuned encoder as an ONNX graph on onnxruntime: tagging needs no training stack."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.capi import onnxruntime_pybind11_state as errors
from tokenizers import Tokenizer

from motags.errors import MotagsError
from motags.machine import cores

Backend = Literal["int8", "float32", "torch"]
GRAPHS = {"float32": "encoder.onnx", "int8": "encoder_int8.onnx"}
TOKENIZER = "encoder/tokenizer.json"
SLOWER = ["SkipLayerNormFusion"]  # its kernel takes five times as long on a CPU as the two that it replaces
UNUSABLE = (  # what a graph that is damaged, or made by a newer version, ends in
    errors.Fail, errors.InvalidArgument, errors.InvalidGraph, errors.InvalidProtobuf, errors.NoSuchFile,
    errors.NotImplemented, errors.RuntimeException,
)  # fmt: skip


class OnnxEncoder:
    """The tuned encoder. It reads one text at a time on each core, so no score feels its neighbours or padding.

    Args:
        folder: of the model; backend: of the weights, "float32" or "int8".
        max_tokens: at which a text is cut; threads: 0 for as many as there are cores.
    """

    def __init__(self, folder: Path, backend: Backend, max_tokens: int, threads: int = 0) -> None:
        self._tokenizer = _tokenizer(folder / TOKENIZER)
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self._threads = threads or cores()
        self._session = session_of(folder / GRAPHS[backend])

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, t) and embeddings (n, d) of unit length, float32."""
        encoded = self._tokenizer.encode_batch(texts)
        with ThreadPoolExecutor(self._threads) as pool:
            answers = list(pool.map(self._answer, (one.ids for one in encoded)))
        logits, embeddings = zip(*answers, strict=True)
        return np.concatenate(logits), np.concatenate(embeddings)

    def _answer(self, ids: list[int]) -> list[np.ndarray]:
        return self._session.run(None, {"input_ids": np.array([ids], dtype=np.int64)})


def _tokenizer(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # it raises nothing finer
        raise MotagsError(f"{file} can't be read: {error}; fetch the model again") from error


def session_of(graph: Path) -> InferenceSession:
    """A graph, ready to run on one thread. Raises MotagsError where it is damaged."""
    options = SessionOptions()
    options.intra_op_num_threads = 1  # films run beside each other instead
    options.log_severity_level = 3
    try:
        return InferenceSession(graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOWER)
    except UNUSABLE as error:
        raise MotagsError(f"{graph} can't be run: {str(error).splitlines()[0]}; fetch the model again") from error
