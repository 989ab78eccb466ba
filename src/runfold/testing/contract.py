"""The contract of stores: inherit ``StoreContract``, give it a store, run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path / "log")      # empty, not open

Tests are asynchronous and need no plugin. Fixtures to override: ``store``, always; ``twin``,
the same data as another process sees it; ``neighbour``, another namespace of the database
(without it: ``store.attach("neighbour")``); ``transaction``, a caller's transaction for the
inbox, and ``replace_log``, a restore (without them their tests are skipped, and say so).
"""

from __future__ import annotations

from runfold.testing.contract_archive import ArchiveContract
from runfold.testing.contract_batches import BatchContract
from runfold.testing.contract_claims import ClaimContract, ClaimerContract
from runfold.testing.contract_closures import ClosureContract
from runfold.testing.contract_erasure import ErasureContract
from runfold.testing.contract_guards import GuardContract
from runfold.testing.contract_lanes import LaneContract
from runfold.testing.contract_limits import LimitContract
from runfold.testing.contract_line import LineContract
from runfold.testing.contract_log import LogContract
from runfold.testing.contract_machine import MachineContract
from runfold.testing.contract_members import LeaderContract, MemberContract
from runfold.testing.contract_queues import QueueContract
from runfold.testing.contract_rates import RateContract
from runfold.testing.contract_readers import (
    CursorContract,
    DoorbellContract,
    InboxContract,
    NamespaceContract,
)
from runfold.testing.contract_rebuild import RebuildContract
from runfold.testing.contract_rows import RowContract, TimerContract
from runfold.testing.contract_view_counts import ViewCountContract
from runfold.testing.contract_views import ViewContract

__all__ = ["StoreContract"]


class StoreContract(
    LogContract,
    GuardContract,
    BatchContract,
    RowContract,
    TimerContract,
    RebuildContract,
    ArchiveContract,
    ErasureContract,
    ClaimContract,
    ClaimerContract,
    LimitContract,
    RateContract,
    ClosureContract,
    LaneContract,
    QueueContract,
    LineContract,
    MachineContract,
    MemberContract,
    LeaderContract,
    CursorContract,
    InboxContract,
    DoorbellContract,
    NamespaceContract,
    ViewContract,
    ViewCountContract,
):
    """Every behaviour of ``runfold.ports.Store``."""
