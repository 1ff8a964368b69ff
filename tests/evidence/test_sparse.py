"""The table of few places adds up what the whole table adds up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from motags.evidence.sparse import SparseRows


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9), st.floats(0, 1), st.integers(0, 12))
def test_rows_combine_to_what_the_whole_table_gives(seed: int, v: int, t: int, full: float, r: int) -> None:
    rng = np.random.default_rng(seed)
    whole = np.where(rng.random((v, t)) < full, rng.normal(size=(v, t)), 0)
    rows, columns = np.nonzero(whole)
    order = rng.permutation(len(rows))
    places = SparseRows.of_places(rows[order], columns[order], whole[rows, columns][order], (v, t))
    chosen, weights = rng.integers(0, v, r), rng.normal(size=r)
    np.testing.assert_allclose(places.combined(chosen, weights), weights @ whole[chosen], atol=1e-12)
    assert len(places.values) == np.count_nonzero(whole)
