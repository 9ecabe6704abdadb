"""The one module that runs other programs; it echoes what it runs, so that people learn docker rather than Slipway."""

from __future__ import annotations

import codecs
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TextIO

from slipway import interruption
from slipway.bootstrap import venv
from slipway.errors import SlipwayError
from slipway.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

NOT_FOUND, TIMED_OUT = 127, 124
LAST_LINES = 12  # of a program, kept for the reason that it failed for
CHUNK = 65536  # bytes of output that are shown at once
EXEC_LOOKS = 1000  # of 1 ms each, for a process that has just started
GRACE_SECONDS = 4  # Ctrl-C ends a foreground program within 5 s


class Answer(NamedTuple):
    """What a program said: its exit code, and its two outputs, which are never mixed. What it warns of is no result."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def words(self) -> str:
        """Both outputs, for people."""
        return f"{self.out}\n{self.err}".strip()

    @property
    def last(self) -> str:
        """The last line of what it complained of, or of what it printed, for an error of ours."""
        return ((self.err or self.out).splitlines() or [f"no output, exit code {self.code}"])[-1]


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, quiet: bool = False
) -> None:
    """Echo a command (unless `quiet`) and run it; `env` is added to ours.

    Raises SlipwayError when it fails.
    """
    if interruption.find_current():  # nobody may look: what it said last is the reason
        code, last = show(command, env=env, cwd=cwd)
    else:
        if not quiet:
            echo(command)
        with _missing():
            code, last = subprocess.run(command, env=_environment(env), cwd=cwd, check=False).returncode, ""
    if code != 0:
        raise SlipwayError(
            f"`{command[0]} {command[1]}` failed with exit code {code}"
            + (f": {quote(last)}" if last else "; see its output above")
        )


def show(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | None = None,
    begun: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> tuple[int, str]:
    """Run a program with its output shown as it comes; return its exit code, and the last lines that it printed.

    With `output`, what it writes to stdout goes there; `begun` gets the process. Ctrl-C ends it as it does in `wait`.
    """
    echo(command)
    with _missing():
        process = subprocess.Popen(
            command, env=_environment(env), cwd=cwd, stdout=output or subprocess.PIPE, stderr=subprocess.PIPE
        )
    interruption.register(process)
    if begun:
        begun(process)
    last: deque[str] = deque(maxlen=LAST_LINES)
    pumps = [
        threading.Thread(target=_pump, args=(source, target, last), daemon=True)
        for source, target in ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
    ]
    for pump in pumps:
        pump.start()
    code = wait(process)
    for pump in pumps:
        pump.join(GRACE_SECONDS)  # a program that it left behind may hold the pipe
    return code, "\n".join(last)


def quote(words: str) -> str:
    """Return of what a program printed last the line that names its error, or else the last lines.

    For an error of ours.
    """
    lines = [line.strip() for line in words.splitlines() if line.strip()][-LAST_LINES:]
    named = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return named[-1] if named else "\n    ".join(lines) or "it printed nothing"


def cut(words: str, longest: int) -> str:
    """Return words, or as many of them as fit into so many characters, with an ellipsis."""
    return words if len(words) <= longest else re.sub(r"\s+\S*$", "", words[:longest]) + " …"


def _pump(source: IO[bytes] | None, target: TextIO, last: deque[str]) -> None:
    """Show what a program prints at once, progress bars too, and keep its last lines."""
    decoder, line = codecs.getincrementaldecoder("utf-8")("replace"), ""
    while chunk := source.read1(CHUNK) if source else b"":  # type: ignore[attr-defined] # a pipe's reader has it
        target.write(text := decoder.decode(chunk))
        target.flush()
        *whole, line = (line + text).split("\n")
        last.extend(shown for each in whole if (shown := each.rstrip("\r").rsplit("\r", 1)[-1].strip()))
    if line.strip():
        last.append(line.rsplit("\r", 1)[-1].strip())


def ask(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    words: str | None = None,
    seconds: float | None = None,
) -> Answer:
    """Run a command silently, with `words` as its input; return its exit code, stdout and stderr, stripped.

    The code is 127 for a program that is not there, and 124 for one that was killed after `seconds`, as a shell has it.
    """
    try:
        process = subprocess.Popen(
            command,
            env=_environment(env),
            cwd=cwd,
            stdin=None if words is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    except FileNotFoundError as error:
        return Answer(NOT_FOUND, err=str(error))
    interruption.register(process)  # type: ignore[arg-type] # what it prints is of no matter there
    with process:
        try:
            out, err = process.communicate(words, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return Answer(TIMED_OUT, err=f"it did not end within {seconds:.0f} s")
        except BaseException:
            process.kill()
            raise
    return Answer(process.returncode, out.strip(), err.strip())


def read_command(pid: str) -> str:
    """Return a process's command line, or nothing if it has ended. Linux may have no `ps`, and macOS has no /proc.

    A process that has just started has none yet: Popen returns before the kernel shows it.
    """
    if not Path("/proc/self").exists():
        return ask(["ps", "-ww", "-o", "command=", "-p", pid]).out
    place = Path("/proc", pid)
    with suppress(OSError):
        for _ in range(EXEC_LOOKS):
            words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if words or (place / "stat").read_text(encoding="ascii", errors="replace").rpartition(") ")[2][:1] in "ZX":
                return words
            time.sleep(0.001)
    return ""


def ask_git(*arguments: str, folder: Path = ROOT) -> Answer:
    """Ask git about the repository around a folder, whoever owns it; if it does not answer though there is one, say."""
    answer = ask([*venv.GIT, "-C", str(folder), *arguments])
    if answer.code != 0 and any((each / ".git").exists() for each in (folder, *folder.parents)):
        print(f"note: git does not say which commit this is: {answer.last}", file=sys.stderr, flush=True)
    return answer


def start(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, log: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a program in the background; with `log`, in a session of its own with its output in that file."""
    if log is None:
        echo(command)
        with _missing():
            process = subprocess.Popen(command, env=_environment(env), cwd=cwd)
    else:
        with log.open("wb") as output, _missing():
            process = subprocess.Popen(
                command, env=_environment(env), cwd=cwd, stdout=output, stderr=output, start_new_session=True
            )
    interruption.register(process)
    return process


def wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a foreground program and return its exit code.

    Ctrl-C (or SIGTERM to us) ends it within `GRACE_SECONDS`, and is raised as KeyboardInterrupt.
    """
    try:
        return process.wait()
    except KeyboardInterrupt:
        stop(process)
        raise


@contextmanager
def running(process: subprocess.Popen[bytes], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a background program beside a block and stop it in any case; raise its last words if it ended by itself."""
    try:
        yield process
    except SlipwayError as error:
        if process.poll() is None:
            raise
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        raise SlipwayError(
            f"the program ended with exit code {process.returncode}:\n    " + "\n    ".join(words), code=error.code
        ) from None
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program: SIGTERM, then SIGKILL when it does not go within `GRACE_SECONDS`.

    An impatient Ctrl-C changes nothing.
    """
    if process.poll() is not None:
        return
    with undisturbed(signal.SIGINT):
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def undisturbed(*signals: signal.Signals) -> Iterator[None]:
    """Do something to its end whatever signals come, such as an impatient Ctrl-C.

    Programs that it runs do not hear them either.
    """
    is_main = threading.current_thread() is threading.main_thread()  # signals are no other's business
    handlers = {each: signal.signal(each, signal.SIG_IGN) for each in signals} if is_main else {}
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, handler)


def echo(command: Sequence[str]) -> None:
    """Print a command as one could type it."""
    print("$", shlex.join(command).replace(f"{ROOT}/", ""), file=sys.stderr, flush=True)


def expand(path: str) -> Path:
    """Return a path with its `~` as a shell has it: that of a user who does not exist stays."""
    return Path(os.path.expanduser(path.strip()))  # noqa: PTH111 -- pathlib's raises for such a user


@contextmanager
def _missing() -> Iterator[None]:
    """Turn a missing program, or a missing folder to run it in, into a SlipwayError."""
    try:
        yield
    except FileNotFoundError as error:
        raise SlipwayError(f"there is no {error.filename} on this machine", "make doctor") from None


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(extra or {})}
