"""``runfold demo`` from outside: what it prints, what it leaves, how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from pypdf import PdfReader

from cli.shell import Shell


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return Shell(folder).run("demo", "--keep", "kept")


def test_it_ends_well(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stderr) == (0, "")


def test_it_says_where_the_files_are(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.stdout.startswith(f"files: {folder / 'kept'}\n")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("flow.start", ""),
        ("emit", "data.prepared"),
        ("step.completed", "validate"),
        ("step.errored", "bank: 503, attempt 1"),
        ("step.retry", "charge"),
        ("step.completed", "charge, attempt 3"),
        ("step.completed", "pack #20"),
        ("step.completed", "emailGeneration"),
        ("flow.completed", "20 boxes"),
        ("flow.failed", "this step fails"),
    ],
)
def test_the_timeline_shows(done: subprocess.CompletedProcess[str], kind: str, what: str) -> None:
    lines = [line for line in done.stdout.splitlines() if f" s  {kind} " in f"{line} "]
    assert any(what in line for line in lines), lines


def test_every_item_of_the_fan_out_was_packed_once(
    done: subprocess.CompletedProcess[str],
) -> None:
    packed = [line for line in done.stdout.splitlines() if "step.completed     pack" in line]
    assert len(packed) == 20


def test_the_state_is_shown_at_two_versions(done: subprocess.CompletedProcess[str]) -> None:
    _, _, table = done.stdout.partition("at any version")
    assert "at version" in table
    assert "retrying" in table


def test_it_says_what_to_try_next(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    line = next(line for line in done.stdout.splitlines() if "runfold runs ls" in line)
    listed = Shell(folder).run(*line.partition("runfold ")[2].split())
    assert listed.returncode == 0
    assert "invoice_pdf" in listed.stdout


@pytest.mark.usefixtures("done")
def test_it_leaves_a_pdf_that_a_reader_can_read(folder: Path) -> None:
    (file,) = (folder / "kept/invoices").iterdir()
    assert file.read_bytes().startswith(b"%PDF")
    (page,) = PdfReader(file, strict=True).pages
    assert "Invoice 2024-0042" in page.extract_text()
    assert "124.99 €" in page.extract_text()


@pytest.mark.usefixtures("done")
def test_it_leaves_a_mail_with_the_pdf(folder: Path) -> None:
    (file,) = (folder / "kept/outbox").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    (attached,) = mail.iter_attachments()
    assert mail["To"] == "zoe@example.com"
    assert attached.get_content() == (folder / "kept/invoices/2024-0042.pdf").read_bytes()


def test_a_second_demo_in_the_same_folder_works(
    done: subprocess.CompletedProcess[str], folder: Path
) -> None:
    again = Shell(folder).run("demo", "--keep", "kept", "--json")
    *events, last = (json.loads(line) for line in again.stdout.splitlines())
    assert again.returncode == 0
    assert {event["type"] for event in events} >= {"flow.start", "flow.completed"}
    assert [run["asItShould"] for run in last["runs"]] == [True] * 5


def test_without_keep_the_folder_is_a_new_one(shell: Shell) -> None:
    done = shell.run("demo", "--json")
    files = Path(json.loads(done.stdout.splitlines()[-1])["files"])
    assert done.returncode == 0
    assert (files / "invoices/2024-0042.pdf").is_file()
    assert list(shell.folder.iterdir()) == []


def test_a_run_that_ends_otherwise_gives_one(shell: Shell) -> None:
    (shell.folder / "kept").mkdir()
    (shell.folder / "kept/invoices").write_text("a file where a folder should be")
    done = shell.run("demo", "--keep", "kept")
    assert done.returncode == 1
    assert "not every run ended as it should: invoice_pdf" in done.stderr
    assert "NO, expected completed" in done.stdout


def test_an_interrupt_drains(shell: Shell) -> None:
    # Who writes the mail waits for a reader, so the demo cannot be over when the signal comes.
    # It is the last step of its flow: nobody goes on with what is no file.
    mail = shell.folder / "kept/outbox/2024-0042.eml.unfinished"
    mail.parent.mkdir(parents=True)
    os.mkfifo(mail)
    with shell.spawn("demo", "--keep", "kept") as process:
        assert process.stdout is not None
        assert any("flow.start" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        reader = os.open(mail, os.O_RDONLY | os.O_NONBLOCK)
        _, stderr = process.communicate(timeout=60)
    os.close(reader)
    assert (process.returncode, stderr) == (130, "interrupted\n")
    shutil.rmtree(mail.parent)
    assert shell.run("demo", "--keep", "kept").returncode == 0


def test_it_runs_the_same_on_postgresql(shell: Shell, empty_postgres_url: str) -> None:
    done = shell.run("demo", "--keep", "kept", "--url", empty_postgres_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "20 boxes, 2131 g, payment-A-17" in done.stdout
    assert not (shell.folder / "kept/demo.db").exists()


def test_a_wrong_url_is_one_line(shell: Shell) -> None:
    done = shell.run("demo", "--url", "gopher://nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
