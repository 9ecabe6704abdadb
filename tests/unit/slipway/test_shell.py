"""Running other programs: what is echoed, what a failure says, and that nothing is left running."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slipway import shell
from slipway.errors import SlipwayError
from slipway.settings import ROOT
from tests.polling import wait_until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Keep pytest's Ctrl-C: a script that stops a program no longer listens to it."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _wait_for(log: Path, words: str) -> None:
    wait_until(lambda: words in log.read_text(), 30, f"it did not say {words!r}")


def test_a_command_is_echoed_as_one_could_type_it(capfd: pytest.CaptureFixture[str]) -> None:
    """The echo is quoted for a shell, and paths are those from the checkout."""
    shell.run(["echo", "a b", "$HOME", f"{ROOT}/model"])

    assert capfd.readouterr() == (f"a b $HOME {ROOT}/model\n", "$ echo 'a b' '$HOME' model\n")


def test_a_quiet_command_is_not_echoed(capfd: pytest.CaptureFixture[str]) -> None:
    """A command that need not be learnt prints only its own words."""
    shell.run(["echo", "done"], quiet=True)

    assert capfd.readouterr() == ("done\n", "")


def test_a_failed_command_is_named() -> None:
    """A command that fails is named with its exit code."""
    with pytest.raises(SlipwayError, match=r"`sh -c` failed with exit code 7"):
        shell.run(["sh", "-c", "exit 7"])


@pytest.mark.parametrize("runs", [shell.run, shell.show, shell.start], ids=["run", "show", "start"])
def test_a_program_that_is_not_there_is_named(runs: Callable[[list[str]], object]) -> None:
    """Without docker, say, whatever would run it says so, and makes no traceback."""
    with pytest.raises(SlipwayError, match="there is no no-such-program on this machine"):
        runs(["no-such-program", "x"])


def test_asking_returns_code_and_both_outputs_apart() -> None:
    """A question gets the exit code and both outputs, never mixed; the environment is ours and what is added."""
    script = "read line; echo $line $ADDED ${HOME:+home}; echo wrong >&2; exit 3"

    assert shell.ask(["sh", "-c", script], env={"ADDED": "more"}, words="in\n") == shell.Answer(
        3, "in more home", "wrong"
    )


def test_stopping_is_gentle_first(tmp_path: Path) -> None:
    """A program that ends on SIGTERM is not killed, and a stop of what has ended does nothing."""
    log = tmp_path / "log"
    process = shell.start(_python("import time; print('ready', flush=True); time.sleep(60)"), log=log)
    _wait_for(log, "ready")
    shell.stop(process)
    shell.stop(process)

    assert process.returncode == -signal.SIGTERM


def test_a_stubborn_program_is_killed(tmp_path: Path) -> None:
    """A program that is deaf to SIGTERM is killed after a grace."""
    log = tmp_path / "log"
    process = shell.start(_python(STUBBORN), log=log)
    _wait_for(log, "deaf")
    started = time.monotonic()
    shell.stop(process)

    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - started < 30


def test_ctrl_c_stops_the_foreground_program(tmp_path: Path) -> None:
    """Ctrl-C while a foreground program runs ends it, and is passed on."""
    process = shell.start(_python(f"import os, signal, time; os.kill({os.getpid()}, signal.SIGINT); time.sleep(60)"))
    with pytest.raises(KeyboardInterrupt):
        shell.wait(process)

    assert process.returncode == -signal.SIGTERM
    assert not list(tmp_path.iterdir())


def test_a_background_program_is_stopped_in_any_case(tmp_path: Path) -> None:
    """An error in what needed a program stops it, and stays the error it was."""
    process = shell.start(_python("import time; time.sleep(60)"), log=tmp_path / "log")
    with pytest.raises(SlipwayError, match="the API is wrong"), shell.running(process, tmp_path / "log"):
        raise SlipwayError("the API is wrong")

    assert process.returncode == -signal.SIGTERM


def test_a_program_that_ended_has_the_last_word(tmp_path: Path) -> None:
    """When a background program ended by itself, the error is its last five lines, under the code of what noticed."""
    process = shell.start(_python("print(*range(9), sep='\\n'); raise SystemExit(3)"), log=tmp_path / "log")
    process.wait()
    with pytest.raises(SlipwayError) as raised, shell.running(process, tmp_path / "log"):
        raise SlipwayError("no answer", "wait", code=2)

    assert raised.value.message == "the program ended with exit code 3:\n    4\n    5\n    6\n    7\n    8"
    assert raised.value.code == 2


def test_a_process_is_known_from_its_start_to_its_end(tmp_path: Path) -> None:
    """The kernel shows a command line a moment after Popen returns; one that has ended has none."""
    seen = []
    for number in range(50):
        process = shell.start(_python(f"import time; time.sleep({60 + number})"), log=tmp_path / "log")
        seen.append(f"time.sleep({60 + number})" in shell.read_command(str(process.pid)))
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # not reaped yet
        assert shell.read_command(str(process.pid)) == ""
        process.wait()
        assert shell.read_command(str(process.pid)) == ""

    assert all(seen)


def test_output_is_shown_as_it_comes_and_its_last_lines_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """A progress bar without a line's end is shown at once, bytes that a pipe cut are put together, and lines kept."""
    code = (
        "import sys, time; out = sys.stdout.buffer; "
        "out.write(b'one\\n50 %\\r100 %\\r\\nca\\xc3'); out.flush(); time.sleep(0.2); out.write(b'\\xa9'); out.flush()"
    )
    ended, last = shell.show(_python(code))

    assert ended == 0
    assert capfd.readouterr().out == "one\n50 %\r100 %\r\ncaé"
    assert last == "one\n100 %\ncaé"


def test_an_error_is_left_to_who_quotes_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With stdout elsewhere, the last line is not shown if it names an error, in however many pieces it comes."""
    lines = "for part in ('one error: x\\n', 'error: y\\nthen\\ner', 'ror: ', 'z\\n'):"
    code = f"import sys, time\n{lines}\n sys.stderr.write(part); sys.stderr.flush(); time.sleep(0.1)"
    with (tmp_path / "out").open("wb") as output:
        _, last = shell.show(_python(code), output=output)

    assert shell.quote(last) == "z"
    assert capfd.readouterr().err.endswith("\none error: x\nerror: y\nthen\n")
