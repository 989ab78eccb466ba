"""What the tidy checks allow, and why: change a rule of the house here.

Paths are relative to the repository, with ``*`` and ``**`` as in a shell.
"""

PURE = ("kernel", "flow", "projections")
"""Layers without time, chance, waiting or I/O."""

_PURE_AND_ERRORS = {"kernel", "flow", "projections", "errors"}
_INWARD = _PURE_AND_ERRORS | {"ports", "ports_archive", "ports_jobs", "ports_views", "settings"}

LAYERS: dict[str, set[str]] = {
    # layer: the layers that it may import, itself aside ("facade" is `runfold` itself)
    "errors": set(),
    "settings": {"errors"},
    "kernel": {"errors"},
    "flow": {"kernel", "errors"},
    "projections": {"kernel", "flow", "errors", "ports", "wire"},
    "items": _PURE_AND_ERRORS | {"settings"},
    "items_rebuild": {"items"},
    "ports": _PURE_AND_ERRORS
    | {"settings", "items", "items_rebuild", "ports_archive", "ports_jobs", "ports_views"},
    "ports_archive": {"items"},
    "ports_jobs": {"items"},
    "ports_views": set(),
    "define": {"kernel", "flow", "errors", "settings"},
    "system": {"kernel"},
    "wire": {"kernel", "flow", "ports", "errors"},
    "runtime": _INWARD | {"define"},
    "store": _INWARD,
    "client": _INWARD | {"define", "runtime", "wire"},
    "server": _INWARD | {"runtime", "client", "wire"},
    "cli": _INWARD | {"runtime", "client", "wire", "app", "demo", "facade"},
    "demo": {"app", "facade"},
    "contrib": _INWARD | {"runtime", "store", "app", "facade"},
    "testing": _INWARD
    | {"define", "runtime", "client", "wire", "store", "system", "app", "facade"},
    "sync": _INWARD | {"define", "client", "wire", "app", "sync_spaces"},
    "sync_spaces": {"client", "runtime"},
    "app": _INWARD | {"define", "runtime", "client", "wire", "system", "store", "sync"},
    "facade": _INWARD | {"define", "client", "wire", "app"},
    "__main__": {"cli"},
}

_SQL = ("src/runfold/store/sql/**", "migrations/**")
_WIRE = (
    "src/runfold/store/codec.py",
    "src/runfold/store/wire*.py",
    "src/runfold/contrib/**",
)

HOMES: dict[str, tuple[str, ...]] = {
    # third party (and sqlite3): where it may be imported; what is not listed has no home
    "pydantic": ("**",),
    "pydantic_core": ("**",),
    "annotated_types": ("**",),
    "typing_extensions": ("**",),
    "alembic": _SQL,
    "sqlalchemy": _SQL,
    "sqlite3": _SQL,
    "asyncpg": ("src/runfold/store/sql/**",),
    "psycopg": ("src/runfold/store/sql/**",),
    "eventsourcing": _WIRE,
    "opentelemetry": ("src/runfold/contrib/**",),
    "structlog": ("src/runfold/contrib/**",),
    "django": ("src/runfold/contrib/**",),
    "hypothesis": ("src/runfold/testing/**",),
    "pytest": ("src/runfold/testing/**",),
    "click": ("src/runfold/cli/**",),
    "rich": ("src/runfold/cli/**",),
}

ONE_FILE = ("asyncpg",)
"""Third parties that exactly one file may import."""

IMPURE_IMPORTS: dict[str, str] = {
    # module: what it would bring into a pure layer
    "time": "a clock",
    "random": "chance",
    "secrets": "chance",
    "os": "the machine",
    "sys": "the machine",
    "platform": "the machine",
    "logging": "I/O",
    "io": "I/O",
    "pathlib": "I/O",
    "shutil": "I/O",
    "tempfile": "I/O",
    "socket": "I/O",
    "ssl": "I/O",
    "http": "I/O",
    "urllib": "I/O",
    "subprocess": "I/O",
    "sqlite3": "I/O",
    "sqlalchemy": "I/O",
    "alembic": "I/O",
    "asyncpg": "I/O",
    "psycopg": "I/O",
    "eventsourcing": "somebody else's model",
    "asyncio": "waiting",
    "threading": "waiting",
    "multiprocessing": "waiting",
    "concurrent": "waiting",
    "queue": "waiting",
    "signal": "waiting",
    "contextvars": "state outside of the arguments",
}

IMPURE_NAMES: dict[str, str] = {
    # name imported, or attribute called
    "now": "a clock",
    "utcnow": "a clock",
    "today": "a clock",
    "monotonic": "a clock",
    "perf_counter": "a clock",
    "uuid1": "chance",
    "uuid4": "chance",
    "uuid7": "chance",
    "urandom": "chance",
}

IMPURE_BUILTINS: dict[str, str] = {
    "open": "I/O",
    "print": "I/O",
    "input": "I/O",
    "breakpoint": "I/O",
}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LINE_COLUMNS_MAX = 100
NESTING_MAX = 4
POSITIONAL_MAX = 7
PUBLIC_NAMES_MAX = 12

MANY_NAMES: dict[str, str] = {
    # files that may have more public names than PUBLIC_NAMES_MAX
    "**/__init__.py": "the front of a package",
    "src/runfold/errors.py": "all errors on one page",
    "src/runfold/ports.py": "the whole border to the outside on one page",
    "src/runfold/ports_views.py": "the border to views, and the values that cross it, on one page",
    "src/runfold/items.py": "the values that cross that border, on one page",
    "**/events*.py": "event types, one small class each",
}

BANNED_MODULES = ("util", "utils", "helper", "helpers", "manager", "managers", "common", "misc")

CREATE_TASK: dict[str, str] = {
    "src/runfold/runtime/service.py": "the only place that starts tasks, and waits for them",
}

BROAD_EXCEPT: dict[str, str] = {
    # files that may catch Exception without raising it again
    "src/runfold/projections/fold.py": "looking ahead, handlers may fail that will not later",
    "src/runfold/testing/simulation/lockstep.py": "what a handler raises goes into its future",
    "src/runfold/testing/simulation/loop.py": "its handler is told what a callback has raised",
    "src/runfold/testing/simulation/stage.py": "what happens on the stage is raised off it",
    "src/runfold/runtime/executor.py": "a handler of the user's may raise anything",
    "src/runfold/runtime/appender.py": "a committer that dies must fail all its waiters",
    "src/runfold/runtime/within.py": "whatever a commit raises, its outcome must be found out",
    "src/runfold/store/sql/transactions.py": "a rollback must not fail, whatever it undoes",
    "src/runfold/runtime/timekeeper.py": "a start that anybody wrote must not stop the clock",
    "src/runfold/runtime/endings.py": "what cannot be recorded is how the attempt ended",
    "src/runfold/runtime/worker.py": "jobs that are leased here are tried again, whatever it was",
    "src/runfold/runtime/membership.py": "a renewal that fails is tried again until the term ends",
    "src/runfold/client/listen.py": "a callback of the user's may raise anything",
    "src/runfold/runtime/node.py": "leaving must succeed whatever the database says",
    "src/runfold/runtime/service.py": "a loop is restarted, with what it raised in the log",
}

FOREVER: dict[str, str] = {
    # files that may loop without a bound
    "src/runfold/testing/simulation/store.py": "hears its doorbell as long as its process lives",
    "src/runfold/runtime/appender.py": "sends a batch until the store has answered",
    "src/runfold/runtime/definitions.py": "tries again when another process recorded first",
    "src/runfold/runtime/runs.py": "reads page after page to the end of a stream",
    "src/runfold/client/projections.py": "waits for a view as long as the caller does",
    "src/runfold/client/engine.py": "waits for a run that is not recorded yet, as long as asked",
    "src/runfold/sync.py": "yields until its iterator ends",
    "src/runfold/client/watching.py": "waits for an idle engine as long as the caller does",
    "src/runfold/runtime/service.py": "runs turns until it is told to stop",
}
