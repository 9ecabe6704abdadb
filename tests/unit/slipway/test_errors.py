"""How a script ends: its exit code and its last words, each in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slipway.errors import SlipwayError

SCRIPT = """
import sys, time
from slipway import errors
def main():
    {body}
errors.exit_cleanly(main)
"""
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
THREAD = "import threading; threading.Thread(target=time.sleep, args=(60,)).start()"


def _start(body: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT.format(body=body)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("pass", 0, ""),
        ("raise errors.SlipwayError('it is broken', 'make whole')", 1, "error: it is broken\n  try: make whole\n"),
        ("raise errors.SlipwayError('which?', code=errors.USAGE)", 2, "error: which?\n"),
        (
            "raise errors.SlipwayError('no model', 'another', errors.MODEL_DID_NOT_LOAD)",
            3,
            "error: no model\n  try: another\n",
        ),
        ("raise KeyboardInterrupt", 130, "\nstopped\n"),
        (f"import atexit; atexit.register(print, 'cleaned', file=sys.stderr); {THREAD}", 0, "cleaned\n"),
        (f"{THREAD}; raise KeyboardInterrupt", 130, "\nstopped\n"),
    ],
    ids=[
        "done",
        "the user can fix it",
        "usage",
        "the model did not load",
        "Ctrl-C",
        "done, with a thread that goes on",
        "Ctrl-C, and a thread that nobody ends",
    ],
)
def test_an_end_has_its_code_and_words(body: str, code: int, words: str) -> None:
    """What went wrong and what to do stand on stderr, without a traceback; the exit code says which kind it is."""
    process = _start(body)
    printed, said = process.communicate(timeout=30)

    assert (process.returncode, printed, said) == (code, "", words)


@pytest.mark.parametrize(
    ("target", "code"), [("/dev/full", 1), ("/dev/null", 0)], ids=["a full disk", "nobody listens"]
)
def test_lost_output_is_no_success(target: str, code: int) -> None:
    """A script whose output the disk did not take says so, and does not end with 0."""
    with Path(target).open("w") as output:
        command = [sys.executable, "-c", SCRIPT.format(body="print('done')")]
        done = subprocess.run(command, check=False, stdout=output, stderr=subprocess.PIPE, text=True, env=BUFFERED)

    assert (done.returncode, done.stderr) == (
        code,
        "error: the output is incomplete: No space left on device\n" if code else "",
    )


def test_a_reader_that_has_left_is_no_failure() -> None:
    """`make list_models | head -1` ends well."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", SCRIPT.format(body="time.sleep(0.2); print('done')")]
    process = subprocess.Popen(command, stdout=writing, env=BUFFERED)
    os.close(writing)
    os.close(reading)

    assert process.wait(30) == 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_script_and_cleans_up(name: str) -> None:
    """Ctrl-C, a SIGTERM or a closed terminal runs what `finally` holds, and ends the script with 130."""
    process = _start(
        "try:\n        print('ready', flush=True)\n        time.sleep(60)\n    finally:\n        print('cleaned')"
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.Signals[name])
    printed, said = process.communicate(timeout=30)

    assert (process.returncode, printed, said) == (130, "cleaned\n", "\nstopped\n")


STORE = """
import os, random, signal, sys
os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{sys.argv[1]}/mlflow.db"
from mlflow import MlflowClient
from slipway import errors
def main():
    client, at_random = MlflowClient(), random.Random(1)
    client.create_registered_model("m")
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGINT))
    for count in range(30):
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, at_random.uniform(0.005, 0.06))
                while True:
                    client.set_registered_model_tag("m", "written", "on")
            finally:
                client.set_registered_model_tag("m", "cleaned", str(count))
        except KeyboardInterrupt:
            continue
    print(client.get_registered_model("m").tags["cleaned"])
errors.exit_cleanly(main)
"""


def test_ctrl_c_in_a_write_to_the_store_lets_the_clean_up_write(tmp_path: Path) -> None:
    """Whenever it comes, no transaction stays open that would lock what `finally` writes out of SQLite's file."""
    done = subprocess.run([sys.executable, "-c", STORE, tmp_path], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "29\n"), done.stderr


def test_ctrl_c_during_the_imports_is_no_traceback() -> None:
    """Ctrl-C while a script still imports ends it like any other."""
    done = subprocess.run(
        [sys.executable, "-c", "from slipway import errors; errors.catch_interrupts(); raise KeyboardInterrupt"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (130, "\nstopped\n")


def test_a_bug_is_shown_whole() -> None:
    """What is no error of the user's keeps its traceback."""
    process = _start("1 / 0")
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "ZeroDivisionError" in said
    assert "Traceback" in said


def test_a_message_without_a_cure_is_one_line() -> None:
    """An error that names no cure prints none."""
    assert str(SlipwayError("it is broken")) == "error: it is broken"
