"""What is right is not accused, whatever the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from determinism.right_flows import MAKERS, Payments, a_job
from runfold import Flow
from runfold.testing import assert_deterministic

SEEDS, MANY_SEEDS = range(3), range(91)
"""With eleven plays for each seed and ten flows, the many are 10,000."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_flow_ends_in_one_way(make: Callable[[], Flow[Any, Any]], seed: int) -> None:
    outcome = assert_deterministic(make(), 4, seed=seed, make_deps=Payments)
    assert outcome.status == ("failed" if make.__name__ == "compensated" else "completed")


@pytest.mark.slow
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_flow_ends_in_one_way_in_thousands_of_schedules(
    make: Callable[[], Flow[Any, Any]],
) -> None:
    for seed in MANY_SEEDS:
        assert_deterministic(make(), 4, seed=seed, make_deps=Payments)


def test_a_job_ends_in_one_way() -> None:
    queue = a_job()
    outcome = assert_deterministic("mail/send", "you", with_=[queue])
    assert outcome.result == "sent to you"
