"""N-grams are hashed as scikit-learn hashes them in training."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.decide.ngrams import BUCKETS, buckets_of, features, murmur3


def test_known_hashes() -> None:
    # The values of the reference implementation, seed 0.
    assert [murmur3(data) for data in (b"", b"hello", b"hello, world")] == [0, 0x248BFA47, 0x149BBB7F]


@given(st.text(max_size=60))
def test_a_text_has_the_features_that_training_sees(text: str) -> None:
    text = text.encode("utf-8", "replace").decode("utf-8")
    counts = np.bincount(buckets_of(text), minlength=BUCKETS).astype(float)
    expected = features([text]).toarray()[0]
    np.testing.assert_allclose(counts / (np.linalg.norm(counts) or 1), expected, atol=1e-12)
