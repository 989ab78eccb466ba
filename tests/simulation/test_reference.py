"""The page of the test kit says what the test kit has."""

from __future__ import annotations

import dataclasses

from docs.pages import reference, rows
from runfold.testing import Faults, Simulation


def test_every_member_has_its_row() -> None:
    documented = {name for name in rows(reference("testing")) if name.startswith("sim.")}
    members = {f"sim.{name}" for name in dir(Simulation) if not name.startswith("_")}
    assert documented == members | {"sim.seed"}


def test_every_fault_has_its_row() -> None:
    fields = {field.name for field in dataclasses.fields(Faults)}
    assert fields <= rows(reference("testing")).keys()
