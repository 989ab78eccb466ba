"""What is promised of jobs, and which tests hold it: no promise loses its tests unseen."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CONTRACT = TESTS.parent / "src" / "runfold" / "testing"
PROMISES: dict[str, tuple[str, ...]] = {
    "priorities, first come first served inside one": (
        "scenarios/test_jobs.py::test_jobs_run_by_priority_and_in_order_inside_one",
        "scenarios/test_limits.py::test_a_flood_of_higher_priority_is_served_first_to_its_end",
    ),
    "never more at once than a limit says, overruns and many processes included": (
        "scenarios/test_limits.py::test_never_more_than_two_at_once_and_all_are_done",
        "scenarios/test_limits.py::test_a_handler_that_overruns_its_timeout_keeps_its_place",
        "processes/test_limits.py::test_they_hold_with_overruns_and_clocks_that_differ",
    ),
    "so many executions as attempts": (
        (
            "scenarios/test_job_attempts.py::"
            "test_a_job_that_fails_twice_completes_with_its_third_attempt"
        ),
        "scenarios/test_job_attempts.py::test_a_job_that_always_fails_fails_after_its_last_attempt",
        "scenarios/test_job_attempts.py::test_a_job_with_one_attempt_fails_at_once",
    ),
    "backoff, within its jitter, across a restart": (
        "scenarios/test_job_attempts.py::test_backoff_doubles_up_to_its_cap_within_its_jitter",
        "scenarios/test_job_attempts.py::test_the_time_until_the_next_attempt_survives_a_restart",
    ),
    "an attempt that takes too long": (
        "scenarios/test_jobs.py::test_an_attempt_that_takes_too_long_fails_with_its_own_code",
    ),
    "stops wait or give back, nothing is charged": (
        "app/test_modes.py::test_stopping_waits_for_what_runs_and_starts_nothing",
        "app/test_modes.py::test_what_a_stop_releases_is_not_charged_and_goes_on_elsewhere",
        "app/test_stopping.py::test_a_second_signal_does_not_wait_for_handlers",
    ),
    "what is cancelled before it begins never runs": (
        "scenarios/test_requests.py::test_a_queued_job_that_is_cancelled_is_never_executed",
        (
            "scenarios/test_groups.py::"
            "test_what_was_pending_and_cancelled_never_runs_not_after_a_restart_either"
        ),
    ),
    "permanent and retryable errors": (
        "scenarios/test_job_attempts.py::test_a_permanent_error_is_never_tried_again",
        "scenarios/test_job_attempts.py::test_a_retryable_error_says_when",
    ),
    "groups": ("scenarios/test_groups.py::test_cancelling_a_group_leaves_the_other_alone",),
    "progress, in order, on every kind of listener": (
        (
            "scenarios/test_live.py::"
            "test_progress_reaches_every_kind_of_listener_in_order_and_then_the_result"
        ),
        "processes/test_listening.py::test_a_client_hears_what_other_processes_record",
    ),
    "a job is claimed once": (
        "contract_claims.py::test_ten_claimers_of_one_job",
        "contract_claims.py::test_fifteen_claims_of_five_jobs",
        (
            "store/test_postgres_processes.py::"
            "test_every_event_is_read_once_in_one_order_and_every_job_claimed_once"
        ),
    ),
    "rates, over all processes": (
        "scenarios/test_limits_in_time.py::test_exactly_four_start_in_a_window",
        "scenarios/test_limits_in_time.py::test_a_rate_holds_over_several_processes",
    ),
    "not before its time, not beyond its deadline": (
        "scenarios/test_jobs.py::test_a_job_for_later_is_scheduled_and_runs_not_before",
        "scenarios/test_jobs.py::test_a_deadline_ends_a_running_job_as_failed",
    ),
    "values are checked at the call and at the end": (
        (
            "scenarios/test_job_values.py::"
            "test_a_wrong_input_is_refused_with_its_fields_and_nothing_is_stored"
        ),
        "scenarios/test_job_values.py::test_a_wrong_result_fails_at_once_with_its_fields",
    ),
    "a dead worker's jobs run again, charged; a slow one keeps them; a late end is fenced off": (
        "processes/test_leases.py::test_a_worker_that_blocks_its_loop_keeps_its_job",
        "processes/test_leases.py::test_a_killed_workers_attempt_is_charged_and_runs_again",
        "processes/test_kills.py::test_a_killed_worker_loses_nothing",
        "app/test_lost_leases.py::test_a_process_that_was_swept_joins_again",
    ),
    "a start in a caller's transaction": (
        "scenarios/test_inbox.py::test_a_run_starts_when_its_callers_transaction_commits",
        "scenarios/test_inbox.py::test_a_run_whose_transaction_is_rolled_back_never_was",
        "scenarios/test_inbox.py::test_plain_sql_starts_a_run",
        (
            "scenarios/test_inbox_file.py::"
            "test_others_wait_for_a_caller_that_holds_the_file_and_lose_nothing"
        ),
    ),
    "an answer that is lost repeats nothing": (
        "store/test_postgres_loss.py::test_a_commit_whose_answer_was_lost_is_recorded_once",
        "store/test_postgres_loss.py::test_a_claim_whose_answer_was_lost_is_asked_for",
        "processes/test_connections.py::test_connections_that_are_killed_lose_and_repeat_nothing",
    ),
    "clocks may differ": (
        "processes/test_leases.py::test_clocks_that_differ_take_no_live_lease",
        "processes/test_limits.py::test_they_hold_with_overruns_and_clocks_that_differ",
    ),
    "one input of a key counts": (
        "scenarios/test_keys.py::test_the_first_start_of_a_key_counts",
        "scenarios/test_replaced.py::test_the_last_start_counts_until_the_run_begins",
        "scenarios/test_replaced.py::test_of_a_replacement_and_a_claim_that_race_one_counts",
    ),
    "what nobody knows waits and is shown": (
        "scenarios/test_unknown_jobs.py::test_a_job_waits_for_a_worker_that_knows_it_and_is_shown",
        "processes/test_results.py::test_a_job_waits_for_a_process_that_knows_it",
    ),
    "who waits has the result": (
        "scenarios/test_waiting.py::test_who_waits_while_the_process_leaves_hears_of_it",
        "processes/test_results.py::test_results_outlive_their_runs_in_the_log",
    ),
    "a snapshot that somebody holds open slows no claim down": (
        (
            "store/test_questions_when_full.py::"
            "test_claims_pass_over_what_a_snapshot_keeps_from_being_cleaned"
        ),
    ),
    "tenants never meet": ("scenarios/test_namespaces.py::test_no_verb_crosses",),
}


@cache
def functions(file: str) -> frozenset[str]:
    """Return the names of all functions of a file of tests."""
    folder = CONTRACT if file.startswith("contract_") else TESTS
    tree = ast.parse((folder / file).read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize("promise", PROMISES, ids=str)
def test_a_promise_has_its_tests(promise: str) -> None:
    for test in PROMISES[promise]:
        file, _, name = test.partition("::")
        assert name in functions(file), f"{promise}: there is no {test}"
