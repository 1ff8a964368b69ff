"""The whole chain, as its users use it: a real DVC repository in a temporary folder."""

import csv
import json
import os
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from sentence_transformers import SentenceTransformer

from builders import LIMITED, Make, MakeOnce, Project, sample_films, telling_films
from motags.artifacts import checked, read_arrays, seal
from motags.dataset.corpus import Corpus
from motags.dataset.facts import entries_of_frames
from motags.dataset.split import parts_of
from motags.evaluation.rows import ROWS
from motags.films.catalogue import HAVING
from motags.films.text import TextRules
from motags.tables import read_parquet
from motags.tagger.tagger import Tagger

pytestmark = pytest.mark.slow

ALL = ["crawl", "dataset", "split", "encoder", "finetune", "embed", "cluster", "train", "baselines"]
ALL += ["image_encoder", "pictures", "tagger", "evaluate"]
METHODS = ["constant", "tfidf", "bert", "bert_star", "bert_star_cb", "bert_star_clusters", "ours", "motags"]
SCORES = ["micro_f1", "macro_f1", "micro_f1_tuned", "macro_f1_tuned", "p_at_1", "p_at_3", "p_at_5", "ndcg_at_5"]
SCORES += ["psp_at_5", "macro_f1_head", "macro_f1_torso", "macro_f1_tail", "macro_auc", "calibration_error"]


@pytest.fixture(scope="module")
def done(once: MakeOnce, make_project: Make) -> Project:
    """A project of 200 films after a first `dvc repro` and a commit, one for all workers. Tests only read it."""

    def make(root: Path) -> None:
        project = make_project(root, 200)
        assert sorted(project.ran(project.run("dvc", "repro"))) == sorted(ALL)
        project.commit("First results")

    return Project(once("done", make))


@pytest.fixture
def copy(done: Project, tmp_path: Path, preloaded: Path) -> Project:
    """A copy of it to break; its stages start with the numerical libraries imported, those of `done` as users' do."""
    return done.copied(tmp_path / "copy", preloaded)


def stage_command(project: Project, name: str) -> list[str]:
    """The paths of a stage's command in dvc.yaml."""
    stages = YAML(typ="safe").load(project.root / "dvc.yaml")["stages"]
    return list(stages[name]["cmd"].split()[2:])


def test_every_method_has_every_score(done: Project) -> None:
    metrics = json.loads((done.root / "metrics/metrics.json").read_text())
    assert list(metrics) == sorted(METHODS)
    for name in METHODS:
        for score in SCORES:
            assert 0 <= metrics[name][score] <= 1, (name, score)
    for name, others in {row.key: row.compared for row in ROWS}.items():
        for other in others:
            for interval in metrics[name][f"difference_to_{other}"].values():
                assert interval["low"] <= interval["high"]


def test_what_the_texts_tell_is_learned(done: Project) -> None:
    metrics = json.loads((done.root / "metrics/metrics.json").read_text())
    for name in ("tfidf", "motags"):
        assert metrics[name]["ndcg_at_5"] > metrics["constant"]["ndcg_at_5"] + 0.15, name


def test_the_metrics_files_say_what_they_promise(done: Project) -> None:
    crawl, dataset, split, embedder, clusters = (
        done.json(f"metrics/{n}.json") for n in ("crawl", "dataset", "split", "embedder", "clusters")
    )
    films = sample_films(200)
    having = {column: sum(bool(film.get(column)) for film in films) for column in HAVING}
    assert (crawl["films"], crawl["having"]) == (200, having)
    assert {"films", "tags", "tags_per_film", "words_per_film", "genres", "texts"} <= set(dataset)
    assert {"largest_deviation", "films"} <= set(split)
    assert {"loss", "triplets", "anchors_with_a_triplet"} == set(embedder["epoch_1"])  # type: ignore[call-overload]
    assert {"clusters", "train_films", "tags_per_cluster", "coverage"} <= set(clusters)


def test_the_tuned_encoder_loads_with_plain_sentence_transformers(done: Project) -> None:
    encoder = SentenceTransformer(str(done.root / "models/encoder"), device="cpu")
    assert encoder.encode(["a film"]).shape == (1, 32)


def test_the_tagger_that_is_saved_gives_the_scores_that_are_evaluated(done: Project) -> None:
    corpus = Corpus.from_frame(read_parquet(done.root / "data/films.parquet"))
    test = parts_of(corpus, read_parquet(done.root / "data/split.parquet"))["test"]
    kept = read_arrays(done.root / "data/scores_motags.safetensors", corpus.digest)
    tagger = Tagger.load(done.root / "models/tagger", "float32")
    facts = read_parquet(done.root / "data/facts.parquet")
    entries = entries_of_frames(read_parquet(done.root / "data/films.parquet"), facts, tagger.text_rules_)
    scores = tagger.predict_proba([entries[row] for row in test])
    assert "facts" in tagger.evidence_
    np.testing.assert_allclose(scores, kept["motags"][test], atol=1e-5)
    np.testing.assert_array_equal(tagger.thresholds_, kept["motags_thresholds"])
    assert tagger.tags_ == corpus.tags
    dataset = YAML(typ="safe").load(done.root / "params.yaml")["dataset"]
    assert tagger.text_rules_ == TextRules(*(dataset[name] for name in ("text", "lead", "min_plot_words", "max_words")))
    assert np.isnan(np.delete(kept["motags"], test, axis=0)).all()  # films that it has seen get no score


def test_a_version_of_the_tagger_is_fetched_as_an_artifact(copy: Project) -> None:
    copy.run("git", "tag", "--annotate", "tagger@v1.0.0", "--message", "a version")
    copy.run("dvc", "artifacts", "get", ".", "tagger", "--rev", "v1.0.0", "--out", "fetched")
    fetched, own = (Tagger.load(copy.root / folder) for folder in ("fetched", "models/tagger"))
    assert fetched.version_ == own.version_
    assert fetched.tag(["A cowboy rides into town."])[0] == own.tag(["A cowboy rides into town."])[0]


def test_nothing_saved_is_a_pickle(done: Project) -> None:
    saved = [file for folder in ("data", "models") for file in (done.root / folder).rglob("*") if file.is_file()]
    kinds = {file.suffix for file in saved if file.name not in {"SHA256SUMS", ".raw.lock"}}
    assert kinds <= {".jsonl", ".json", ".csv", ".md", ".onnx", ".parquet", ".safetensors", ".sha256", ".txt"}


def test_a_second_repro_does_nothing(copy: Project) -> None:
    assert copy.ran(copy.run("dvc", "repro")) == []
    assert copy.run("git", "status", "--porcelain").stdout == ""


def test_a_second_run_elsewhere_gives_the_same_hashes(done: Project, copy: Project) -> None:
    lock = (done.root / "dvc.lock").read_text()
    for made in ("data/raw", "data/catalogue", "models", "logs"):
        shutil.rmtree(copy.root / made)
    forced = copy.run("dvc", "repro", "--force")
    assert sorted(copy.ran(forced)) == sorted(ALL)
    assert (copy.root / "dvc.lock").read_text() == lock


def test_another_k_runs_cluster_and_what_follows(copy: Project) -> None:
    ran = copy.ran(copy.run("dvc", "exp", "run", "-S", "clusterer.k=6"))
    assert ran == ["cluster", "train", "evaluate"]
    assert copy.json("metrics/clusters.json")["asked_for"] == 6
    diff = copy.run("dvc", "metrics", "diff", "main").stdout
    assert re.search(r"clusters\.json +asked_for +4 +6 +2", diff)
    shown = copy.run("dvc", "exp", "show", "--csv").stdout
    rows = list(csv.DictReader(shown.splitlines()))
    assert {row["clusterer.k"] for row in rows} == {"4", "6"}
    copy.run("dvc", "plots", "diff", "main", "-o", "plots")
    assert (copy.root / "plots/index.html").stat().st_size > 10_000


def test_a_minimum_count_runs_train_but_not_cluster(copy: Project) -> None:
    ran = copy.ran(copy.run("dvc", "exp", "run", "-S", "local_models.min_count=5"))
    assert sorted(ran) == ["baselines", "evaluate", "train"]


def test_a_queue_of_several_k_works(copy: Project) -> None:
    for k in (2, 3):
        copy.run("dvc", "exp", "run", "--queue", "-n", f"k{k}", "-S", f"clusterer.k={k}")
    copy.run("dvc", "queue", "start")
    deadline = time.monotonic() + 300
    while "Running" in (status := copy.run("dvc", "queue", "status").stdout) or "Queued" in status:
        assert time.monotonic() < deadline, status
        time.sleep(2)
    assert status.count("Success") == 2, status
    rows = csv.DictReader(copy.run("dvc", "exp", "show", "--csv").stdout.splitlines())
    asked = {row["Experiment"]: row["clusterer.k"] for row in rows}
    assert (asked["k2"], asked["k3"]) == ("2", "3")
    for k in (2, 3):
        copy.run("dvc", "exp", "apply", f"k{k}")
        assert copy.json("metrics/clusters.json")["asked_for"] == k


def test_plots_show_has_all_six(copy: Project, tmp_path: Path) -> None:
    copy.run("dvc", "plots", "show", "-o", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    for title in ("long tail", "triplet loss", "F1 of each tag", "Precision and recall", "Clusters", "Test films"):
        assert title in page


def test_a_changed_catalogue_reruns_and_an_unchanged_one_does_not(copy: Project, tmp_path: Path) -> None:
    outside = tmp_path / "outside.jsonl"
    lines = [json.dumps(film) + "\n" for film in sample_films(150)]
    outside.write_text("".join(lines))
    relative = os.path.relpath(outside, copy.root)
    first = copy.ran(copy.run("dvc", "exp", "run", "dataset", "-S", f"crawl.catalogue={relative}"))
    assert "crawl" in first
    assert copy.json("metrics/crawl.json")["films"] == 150
    assert copy.ran(copy.run("dvc", "repro", "dataset")) == []
    outside.write_text("".join(lines[:140]))
    assert copy.ran(copy.run("dvc", "repro", "dataset")) == ["crawl", "dataset"]
    assert copy.json("metrics/crawl.json")["films"] == 140


def test_rows_in_another_order_give_the_same_films(copy: Project) -> None:
    before = (copy.root / "data/films.parquet").read_bytes()
    catalogue = copy.root / "data/sample/films.jsonl"
    catalogue.write_text("".join(reversed(catalogue.read_text().splitlines(keepends=True))))
    ran = copy.ran(copy.run("dvc", "repro"))
    assert ran == ["crawl"]
    assert (copy.root / "data/films.parquet").read_bytes() == before


def test_a_synonym_reruns_the_data_set_but_not_the_crawl(copy: Project) -> None:
    synonyms = copy.root / "data/synonyms.csv"
    synonyms.write_text("tag,synonym\nThriller,drama\n")
    assert copy.ran(copy.run("dvc", "repro", "dataset")) == ["dataset"]
    assert "Drama" not in (copy.root / "metrics/long_tail.csv").read_text()


def test_descriptions_and_the_taggers_parameters_rerun_the_tagger_and_the_scores(copy: Project) -> None:
    (copy.root / "data/descriptions.csv").write_text("tag,description\nDrama,People in trouble.\n")
    assert copy.ran(copy.run("dvc", "repro")) == ["tagger", "evaluate"]
    copy.commit("Fewer descriptions")
    assert copy.ran(copy.run("dvc", "exp", "run", "-S", "tagger.ranker.macro=0.9")) == ["tagger", "evaluate"]


def test_what_was_fetched_outlives_a_crawl_that_is_forced(copy: Project) -> None:
    shelf = copy.root / "data/raw/tmdb"
    shelf.mkdir()
    (shelf / "00000.jsonl").write_text("")
    seal(copy.root / "data/raw")
    assert copy.ran(copy.run("dvc", "repro", "--force", "crawl")) == ["crawl"]
    assert (shelf / "00000.jsonl").exists()
    assert checked(copy.root / "data/raw").exists()


def test_the_hash_seed_and_the_threads_change_no_data(copy: Project) -> None:
    outs = ["data/catalogue/films.jsonl", "data/films.parquet", "data/split.parquet"]
    before = [(copy.root / out).read_bytes() for out in outs]
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace("threads: 1", "threads: 2"))
    for name in ("crawl", "dataset", "split"):
        copy.run("env", "PYTHONHASHSEED=7", "python", f"stages/{name}.py", *stage_command(copy, name))
    assert [(copy.root / out).read_bytes() for out in outs] == before


@pytest.mark.parametrize(("value", "said"), [("0", "0"), ("-1", "-1"), ("1000000", "1000000"), ("x", "'x'")])
def test_a_bad_k_is_refused_before_any_work(copy: Project, value: str, said: str) -> None:
    refused = copy.run("dvc", "exp", "run", "-S", f"clusterer.k={value}", check=False)
    assert refused.returncode != 0
    assert copy.ran(refused) == ["cluster"]
    assert f"motags cluster: params.yaml: clusterer.k = {said}: input should be" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_unknown_parameter_is_refused_by_name(copy: Project) -> None:
    assert "clusterer.kk" in copy.run("dvc", "exp", "run", "-S", "clusterer.kk=3", check=False).stderr
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace("  k: 4", "  k: 4\n  kk: 3"))
    refused = copy.run("dvc", "repro", check=False)
    assert "clusterer.kk is not a parameter" in refused.stderr


READERS = [
    ("dataset", "data/catalogue/films.jsonl"),
    ("split", "data/films.parquet"),
    ("finetune", "data/split.parquet"),
    ("finetune", "models/pretrained/model.safetensors"),
    ("embed", "models/encoder/tokenizer.json"),
    ("cluster", "data/embeddings.safetensors"),
    ("train", "models/clusterer.safetensors"),
    ("baselines", "data/embeddings.safetensors"),
    ("tagger", "data/pictures.safetensors"),
    ("tagger", "data/split.parquet"),
    ("tagger", "models/pretrained/tokenizer.json"),
    ("evaluate", "models/local_models/networks.safetensors"),
    ("evaluate", "data/scores_local.safetensors"),
    ("evaluate", "data/scores_baselines.safetensors"),
    ("evaluate", "data/scores_motags.safetensors"),
]


@pytest.mark.parametrize(("name", "path"), READERS)
def test_a_flipped_byte_in_an_input_is_refused_with_both_hashes(copy: Project, name: str, path: str) -> None:
    file = copy.root / path
    damaged = bytearray(file.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    file.unlink()
    file.write_bytes(damaged)
    refused = copy.stage(name, *stage_command(copy, name), check=False)
    assert refused.returncode == 1
    line = refused.stderr.strip().splitlines()[-1]
    assert re.search(
        rf"{re.escape(path)} is damaged: its sha256 is [0-9a-f]{{64}}, the recorded one was [0-9a-f]{{64}}", line
    )


@pytest.mark.parametrize("name", ALL)
def test_a_full_disk_leaves_no_output_half_written_and_a_rerun_succeeds(copy: Project, name: str) -> None:
    shutil.rmtree(copy.root / "logs")
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace("seed: 42", "seed: 43"))  # so that new outputs differ from old ones
    words, before = stage_command(copy, name), outputs(snapshot(copy))
    own = [path for path in before for made in made_by(copy, name) if path == made or path.startswith(f"{made}/")]
    largest = max(len(before[path]) for path in own)
    for limit in (300, largest * 9 // 10):  # the first file of some size fails, then the largest
        full = copy.run("python", "-c", LIMITED, str(limit), f"stages/{name}.py", *words, check=False)
        assert full.returncode == 1
        assert "Traceback" not in full.stderr, full.stderr
        left = outputs(snapshot(copy))
        assert limit > 300 or left == before
    copy.stage(name, *words)
    after = outputs(snapshot(copy))
    assert left.keys() <= before.keys() | after.keys()
    assert [path for path, content in left.items() if content not in (before.get(path), after.get(path))] == []


def made_by(project: Project, name: str) -> list[str]:
    """What a stage writes."""
    stage = YAML(typ="safe").load(project.root / "dvc.yaml")["stages"][name]
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def snapshot(project: Project) -> dict[str, bytes]:
    """All outputs of the project."""
    files = (f for d in ("data", "models", "metrics") for f in (project.root / d).rglob("*") if f.is_file())
    return {file.relative_to(project.root).as_posix(): file.read_bytes() for file in files}


def outputs(files: dict[str, bytes]) -> dict[str, bytes]:
    """Those of them that are made anew by each run, unlike the store of the crawl, which is unsealed while it grows."""
    return {path: content for path, content in files.items() if not path.startswith(("data/raw/", "data/.raw.lock"))}


def test_a_killed_fine_tuning_goes_on_under_dvc_with_the_same_result(copy: Project) -> None:
    lock = (copy.root / "dvc.lock").read_text()
    process = copy.start("finetune", *stage_command(copy, "finetune"))
    while process.poll() is None and not (copy.root / "logs/checkpoint/progress.json").exists():
        time.sleep(0.002)
    process.kill()
    process.communicate()
    again = copy.run("dvc", "repro", "--force", "--single-item", "finetune")
    assert "going on after epoch" in again.stderr
    assert (copy.root / "dvc.lock").read_text() == lock
    assert not (copy.root / "logs/checkpoint").exists()


def write_catalogue(project: Project, films: list[dict[str, object]]) -> None:
    catalogue = project.root / "data/sample/films.jsonl"
    catalogue.write_text("".join(json.dumps(film) + "\n" for film in films))


def test_two_films_are_refused_in_one_line(copy: Project) -> None:
    write_catalogue(copy, sample_films(2))
    refused = copy.run("dvc", "repro", check=False)
    assert refused.returncode != 0
    assert "motags dataset: 0 of 2 films have a text and a tag" in refused.stderr


def test_films_with_one_text_are_refused_in_one_line(copy: Project) -> None:
    write_catalogue(copy, [film | {"synopsis": "Always the same words."} for film in sample_films(100)])
    refused = copy.run("dvc", "repro", check=False)
    assert "motags split: the films have only 1 different texts" in refused.stderr


def test_a_tiny_catalogue_with_more_clusters_than_films_goes_through(copy: Project) -> None:
    films, k = 12, 10_000
    write_catalogue(copy, [film | {"tags": ["Drama", ["a", "b"][i % 2]]} for i, film in enumerate(sample_films(films))])
    params = copy.root / "params.yaml"
    params.write_text(params.read_text().replace("  k: 4", f"  k: {k}").replace("min_films: 5 ", "min_films: 2 "))
    copy.run("dvc", "repro")
    clusters = copy.json("metrics/clusters.json")
    assert clusters["asked_for"] == k
    assert 1 <= int(str(clusters["clusters"])) <= films
    assert copy.json("metrics/dataset.json")["films"] == films


def test_shuffled_labels_fall_to_the_constant_floor(copy: Project) -> None:
    films = telling_films(200)
    tags = [film["tags"] for film in films]
    order = [(i * 73) % len(films) for i in range(len(films))]  # 73 and 200 share no divisor
    write_catalogue(copy, [film | {"tags": tags[j]} for film, j in zip(films, order, strict=True)])
    copy.run("dvc", "repro")
    metrics = json.loads((copy.root / "metrics/metrics.json").read_text())
    floor = max(metrics["constant"]["micro_f1"], metrics["constant"]["micro_f1_tuned"])
    for name in METHODS:
        assert metrics[name]["micro_f1"] <= floor + 0.05, name
        assert metrics[name]["ndcg_at_5"] <= metrics["constant"]["ndcg_at_5"] + 0.05, name
