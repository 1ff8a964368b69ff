"""The model card: what a model was trained on, how good it is on each tag, what it can't do."""

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from motags.evaluation.metrics import calibration_error, f1_per_tag, micro_f1
from motags.tagger.model import Model

CARD = """---
license: apache-2.0
library_name: motags
pipeline_tag: text-classification
---

# Tagger of films: {t} tags

Made by motags. It reads {fields} of a film, together up to {max_tokens} word pieces, weighs them with what else it
knows of the film, and gives each tag a calibrated score; a film gets the tags whose score reaches their threshold. An
expert should look at them: `motags review`.

Its evidence: {evidence}. Where a film lacks some of it, the rest speaks; `motags explain` says what carried a tag.

```console
motags tag films.jsonl --model FOLDER --output tagged.jsonl
```

## Data

{n} films with {tags_a_film:.2f} tags each were learned from; {head} tags have over 100 films, {tail} fewer than 30.
The films' texts are not in this folder. The ids of all films are, and of {m} also titles, tags, embeddings and scores,
so that `motags explain` can name like films and `motags audit` doubtful tags.

## Scores

On {m} of these films, each scored by models that have not seen it: micro-F1 {micro:.3f}, macro-F1 {macro:.3f},
expected calibration error {ece:.3f}. Thresholds were set on these scores without labels. The scores on test films are
in the project's `metrics/metrics.json`.

| tag | kind | films | average precision | F1 | threshold |
|---|---|--:|--:|--:|--:|
{rows}

## Limits

- It knows these {t} tags, no others, and English texts.
- What experts left out it has learned to leave out: keyword lists are incomplete, so many a "wrong" tag is right.
- Tags with few films are the least sure; their F1 above is of few films.
- It repeats what its training films associate, prejudices too. Don't tag people with it.

## Licence

The weights start from `{encoder}` under its licence. The texts and tags of the films stay under the terms of
their sources; the project's `data/catalogue/ATTRIBUTION.md` names them.
"""


def model_card(model: Model, params: dict[str, dict[str, Any]]) -> str:
    """The card in Markdown, from the tagger's cross-fitted scores."""
    films = model.films_
    Y, S = films.Y, films.out_of_fold
    P = model.thresholds_ <= S
    scored, support = Y.sum(0), model.support_
    n = len(Y) + len(model.others_)
    f1 = f1_per_tag(Y, P)
    precision = [average_precision_score(Y[:, j], S[:, j]) if scored[j] else np.nan for j in range(len(scored))]
    columns = zip(model.tags_, model.kinds_, support, precision, f1, model.thresholds_, strict=True)
    rows = [
        f"| {_cell(tag)} | {kind} | {count} | {ap:.3f} | {own:.3f} | {threshold:.3f} |"
        for tag, kind, count, ap, own, threshold in sorted(columns, key=lambda row: (-row[2], row[0]))
    ]
    return CARD.format(
        t=len(model.tags_), n=n, m=len(Y), tags_a_film=support.sum() / n, head=int((support > 100).sum()),
        tail=int((support < 30).sum()), micro=micro_f1(Y, P), macro=f1.mean(),
        ece=calibration_error(Y, S), max_tokens=params["embedder"]["max_tokens"], encoder=params["embedder"]["model"],
        rows="\n".join(rows), fields=", ".join(model.text_rules_.fields),
        evidence=", ".join(["the tuned encoder", *map(_cell, model.evidence_)]),
    )  # fmt: skip


def _cell(text: str) -> str:
    """Text of others in a table: no markup of it is read as such."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>()#+-.!|~&" else letter for letter in text)
