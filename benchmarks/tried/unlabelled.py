r"""What films without tags teach: pseudo-tags and continued pre-training on their texts, beside neither.

    PYTHONPATH=benchmarks/quality python benchmarks/tried/unlabelled.py ../shared/real/motags.jsonl.gz \
        --pool ../shared/real/wikipedia.jsonl.gz

With `--teacher FOLDER` it shows instead what a larger encoder teaches the small one (distillation), on films with tags
and without.

The pool is a file of JSON lines with `title`, `lead`, and a `tmdb_id` where the film is in the catalogue; films of the
catalogue are left out by id and by title. The training films of the split with `seed` are dealt to folds as in
ablation.py: an encoder is tuned on all folds but the first and scored on the first, so its teacher has not seen these
films either. The test films are not read.
"""

import argparse
import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling, get_linear_schedule_with_warmup

from ablation import HEAD, Study, row
from motags.evidence.encoder_training import logits_of, lower_states, of_like_length, tune
from motags.evidence.label_attention import TagEncoder, tokenized, top_layers, transformer_of
from motags.paper.embedder import be_repeatable, device_of, pretrained, uses_bfloat16
from motags.progress import reported

LEAST_WORDS = 40  # of a lead
PSEUDO_TAGGED, READ = 4_000, 12_000  # leads drawn for pseudo-tags and for continued pre-training
SURE = (0.02, 0.5)  # scores below and above which a pseudo-tag counts as sure
BATCH, MOST_TOKENS = 32, 128  # of continued pre-training
MASKED = 0.15  # share of the tokens that the encoder has to guess
RATES = {"encoder": 5.0e-5, "head": 1.0e-3}  # of AdamW at their peak; the head is new

log = logging.getLogger("unlabelled")


def leads_of(path: Path, known: set[str], seed: int) -> list[str]:
    """Leads of films that are not in the catalogue, in random order."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        films = [json.loads(line) for line in file]
    own = [film["lead"] for film in films if film["tmdb_id"] is None and film["title"].lower() not in known]
    long = [lead for lead in own if len(lead.split()) >= LEAST_WORDS]
    return [long[i] for i in np.random.default_rng(seed).permutation(len(long))]


def where_sure(logits: Tensor, labels: Tensor, reduction: str) -> Tensor:
    """Binary cross-entropy, 0 where a label is not a number: there the teacher was not sure."""
    sure = ~labels.isnan()
    return binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction=reduction) * sure


class Student:
    """The first fold of a study, an encoder tuned on the others and on leads with pseudo-tags."""

    def __init__(self, study: Study, encoder: SentenceTransformer, leads: list[str]) -> None:
        self.study, self.encoder = study, encoder
        self.seen, self.held = np.flatnonzero(study.fold != 0), np.flatnonzero(study.fold == 0)
        self.pool = np.arange(len(study.texts), len(study.texts) + len(leads))
        layers = study.tagger.encoder.trained_layers
        self.top = top_layers(encoder, layers)
        self.states = lower_states(encoder, study.texts + leads, study.embedder, layers)

    def tuned(self, pseudo: np.ndarray | None = None, taught: np.ndarray | None = None) -> TagEncoder:
        """The encoder after the films of the other folds, and after the leads if they have labels (p, t) float.

        `taught` (m, t) are a teacher's scores of the films: a label is then the mean of both.
        """
        study, rows, Y = self.study, self.seen, self.study.Y[self.seen].astype(np.float32)
        if taught is not None:
            Y = (Y + taught) / 2
        if pseudo is not None:
            rows, Y = np.concatenate([rows, self.pool]), np.concatenate([Y, pseudo])
        head, params = study.attention(self.seen, encoder=self.encoder), study.tagger.encoder
        return tune(self.top, head, self.states.part(rows), Y, params, study.embedder, study.seed, where_sure)

    def logits(self, model: TagEncoder, rows: np.ndarray) -> np.ndarray:
        """Its logits (m, t) of films or leads."""
        return logits_of(model, self.states.part(rows), self.study.embedder)


Tell = Callable[[str, Student, TagEncoder], None]  # prints a row of the table


def read_on(encoder: SentenceTransformer, texts: list[str], study: Study) -> None:
    """Train an encoder in place to guess masked words of the texts, once over."""
    be_repeatable(study.embedder)
    torch.manual_seed(study.seed)
    device = device_of(study.embedder)
    transformer = transformer_of(encoder)
    model = AutoModelForMaskedLM.from_config(transformer.config)
    setattr(model, model.base_model_prefix, transformer)  # with a head that shares the encoder's word embeddings
    model.tie_weights()
    model.to(device).train()
    own = {id(weight) for weight in transformer.parameters()}
    groups = {"encoder": list(transformer.parameters()), "head": [w for w in model.parameters() if id(w) not in own]}
    optimizer = torch.optim.AdamW([{"params": weights, "lr": RATES[name]} for name, weights in groups.items()])
    tokens = tokenized(encoder.tokenizer, texts, MOST_TOKENS)
    batches = of_like_length(np.array([len(ids) for ids in tokens]), BATCH)
    batches = [batches[i] for i in np.random.default_rng(study.seed).permutation(len(batches))]
    schedule = get_linear_schedule_with_warmup(optimizer, len(batches) // 10, len(batches))
    masked = DataCollatorForLanguageModeling(encoder.tokenizer, mlm_probability=MASKED, seed=study.seed)
    losses = []
    for batch in reported(batches, "reading on", "batches"):
        given = masked([{"input_ids": tokens[i]} for i in batch]).to(device)
        with torch.autocast(device, torch.bfloat16, enabled=uses_bfloat16(study.embedder)):
            loss = model(**given).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    tenth = max(len(losses) // 10, 1)
    first, last = (np.nanmean(part) for part in (losses[:tenth], losses[-tenth:]))  # few short texts: none masked
    log.info("loss of masked words: %.2f, at the end %.2f", first, last)
    transformer.eval()


def unlabelled(study: Study, leads: list[str], tell: Tell) -> None:
    """The rows of pseudo-tags by the small encoder itself, and of continued pre-training."""
    student = Student(study, study.encoder, leads[:PSEUDO_TAGGED])
    teacher = student.tuned()
    tell("the training films alone", student, teacher)
    scores = expit(student.logits(teacher, student.pool))
    tell(f"and {PSEUDO_TAGGED:,} leads with their scores as tags", student, student.tuned(scores))
    sure = np.where(scores <= SURE[0], 0.0, np.where(scores >= SURE[1], 1.0, np.nan)).astype(np.float32)
    tell(f"and {PSEUDO_TAGGED:,} leads with the tags that the scores are sure of", student, student.tuned(sure))
    reader = pretrained(study.embedder)
    read_on(reader, leads[:READ] + [study.texts[i] for i in student.seen], study)
    reading = Student(study, reader, [])
    tell(f"an encoder that has read {READ:,} leads and the training films", reading, reading.tuned())


def distilled(study: Study, larger: Study, leads: list[str], tell: Tell) -> None:
    """The rows of a small encoder that a larger one teaches."""
    teaching = Student(larger, larger.encoder, leads)
    teacher = teaching.tuned()
    tell("the larger encoder, which teaches below", teaching, teacher)
    films, others = (expit(teaching.logits(teacher, rows)) for rows in (teaching.seen, teaching.pool))
    student = Student(study, study.encoder, leads)
    tell("the training films alone", student, student.tuned())
    tell("their tags and its scores of them, half each", student, student.tuned(taught=films))
    tell(f"their tags, and {len(leads):,} leads with its scores as tags", student, student.tuned(others))
    tell("both", student, student.tuned(others, films))


def main() -> None:
    """Print the rows as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--teacher", help="folder of a larger encoder")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    log.setLevel(logging.INFO)
    study = Study(arguments.catalogue)
    leads = leads_of(arguments.pool, {title.lower() for title in study.bench.corpus.titles}, study.seed)
    held = study.Y[study.fold == 0]
    print(HEAD, flush=True)

    def tell(name: str, student: Student, model: TagEncoder) -> None:
        print(row(name, held, student.logits(model, student.held)), flush=True)

    if arguments.teacher:
        distilled(study, Study(arguments.catalogue, arguments.teacher), leads[:PSEUDO_TAGGED], tell)
    else:
        unlabelled(study, leads, tell)


if __name__ == "__main__":
    main()
