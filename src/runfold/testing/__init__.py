"""What Runfold ships for tests: the contract suite that every store inherits.

Nothing here is imported by the engine.
"""

import sys

if "pytest" in sys.modules:
    # A failing contract shows its values, as a test of one's own does.
    sys.modules["pytest"].register_assert_rewrite(
        *(
            f"{__name__}.contract_{part}"
            for part in (
                "batches",
                "claims",
                "closures",
                "guards",
                "lanes",
                "limits",
                "log",
                "machine",
                "members",
                "model",
                "queues",
                "rates",
                "readers",
                "rows",
                "scene",
            )
        )
    )
