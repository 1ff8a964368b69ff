"""Every row of every table of results, and every column: key in the metrics, label, where it is made."""

from typing import NamedTuple


class Row(NamedTuple):
    """A method that is measured.

    `stage` trains it by `function`; `compared` are the rows whose difference is given with an interval.
    """

    key: str
    label: str
    paper: str
    stage: str
    function: str
    plotted: bool = False
    compared: tuple[str, ...] = ()


ROWS = (
    Row("constant", "constant answer", "a floor", "baselines", "evaluation.baselines.constant"),
    Row("tfidf", "TF-IDF + regression", "a floor", "baselines", "evaluation.baselines.tfidf_regression", plotted=True),
    Row("bert", "BERT", "Table 3", "baselines", "evaluation.baselines.one_network"),
    Row("bert_star", "BERT*", "Table 3", "baselines", "evaluation.baselines.one_network"),
    Row("bert_star_cb", "BERT* + CB loss", "tells loss apart", "baselines", "evaluation.baselines.one_network"),
    Row("bert_star_clusters", "BERT* + clusters", "tells clusters apart", "train", "paper.local_models.LocalModels"),
    Row(
        "ours", "ours (the paper)", "Table 3", "train", "paper.local_models.LocalModels",
        plotted=True, compared=("bert_star",),
    ),
    Row(
        "motags", "motags", "beyond the paper", "tagger", "tagger.tagger.Tagger",
        plotted=True, compared=("tfidf", "bert_star", "ours"),
    ),
)  # fmt: skip

COLUMNS = {  # of the table that `motags results` prints
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "micro_f1_tuned": "micro F1 tuned",
    "macro_f1_tuned": "macro F1 tuned",
    "macro_f1_tail_tuned": "tail F1 tuned",
    "p_at_1": "P@1",
    "p_at_3": "P@3",
    "p_at_5": "P@5",
    "ndcg_at_5": "nDCG @5",
    "psp_at_5": "PSP @5",
}
