"""Sending: whether bodies are answered rightly, and wrk's load of them."""

from __future__ import annotations

import http.client
import json
import math
import shutil
import subprocess
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from slipway.errors import SlipwayError

HERE = Path(__file__).parent
TOLERANCE = 1e-6  # relative
TOGETHER = 8  # requests at a time: those that share a predict must be told apart again
TYPES = {"FP64": "d", "FP32": "f", "INT64": "q", "INT32": "i"}
LENGTH = "Inference-Header-Content-Length"


def need_tools() -> None:
    """Raise SlipwayError, with the cure, when a tool is missing."""
    for tool, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if not shutil.which(tool):
            raise SlipwayError(f"{tool} is not on PATH: it makes the load", f"apt install {package}")


@dataclass(frozen=True)
class Bodies:
    """Files to send to a path in turns, and the right answer to each (None: any)."""

    files: list[Path]
    path: str
    right: list[list[float]] | None

    @cached_property
    def headers(self) -> dict[str, str]:
        """What goes with each."""
        form = self.files[0].parent.name.partition("-")[0]
        if form == "csv":
            return {"Content-Type": "text/csv"}
        if form != "v2bin":
            return {"Content-Type": "application/json"}
        end = json.JSONDecoder().raw_decode(self.files[0].read_bytes().decode("latin-1"))[
            1
        ]  # of the JSON before the tensor
        return {"Content-Type": "application/octet-stream", LENGTH: str(end)}

    def check(self, port: int) -> str:
        """Send them all, several at a time; return what is wrong with an answer, in a word, or nothing."""
        with ThreadPoolExecutor(TOGETHER) as pool:
            return next(filter(None, pool.map(partial(self.check_one, port), range(len(self.files)))), "")

    def check_one(self, port: int, number: int = 0) -> str:
        """Send one; return what is wrong with the answer, in a word, or nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("POST", self.path, self.files[number].read_bytes(), self.headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({type(error).__name__})"
        finally:
            connection.close()
        if response.status != http.client.OK:
            return f"answers {response.status}"
        right = self.right is None or _are_equal(_read(content, response.getheader(LENGTH)), self.right[number])
        return "" if right else "answers wrongly"


def _read(content: bytes, header_length: str | None) -> list[Any]:
    """Return the predictions in an answer of any of the servers."""
    answer = json.loads(content[: int(header_length)] if header_length else content)
    if isinstance(answer, list):
        return answer
    if "predictions" in answer:
        return list(answer["predictions"])
    tensor = answer["outputs"][0]
    if "data" in tensor or not header_length:
        return list(tensor["data"])
    return array(TYPES[tensor["datatype"]], content[int(header_length) :]).tolist()


def _are_equal(given: list[Any], right: list[float]) -> bool:
    flat = [row[0] if isinstance(row, list) else row for row in given]
    return len(flat) == len(right) and all(
        math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(flat, right, strict=True)
    )


def measure(bodies: Bodies, port: int, clients: int, seconds: float, core: int | None) -> dict[str, Any]:
    """Have wrk send bodies in turns for some seconds.

    Return requests/s, p50 and p99 in ms, or under "void" why there are none.
    """
    pinned = [] if core is None else ["taskset", "--cpu-list", str(core)]
    headers = [f"{name}: {value}" for name, value in bodies.headers.items()]
    completed = subprocess.run(
        [*pinned, "wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:.0f}s",
         "--timeout", "60s", "--latency", "--script", str(HERE / "post.lua"), f"http://127.0.0.1:{port}{bodies.path}",
         "--", *headers, *map(str, bodies.files)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if completed.returncode != 0:
        raise SlipwayError(f"wrk failed: {completed.stderr.strip()}")
    result: dict[str, Any] = json.loads(completed.stdout.splitlines()[-1])
    result["rps"] = result["requests"] / result["seconds"]
    if result["statuses"] or result["sockets"]:
        result["void"] = f"{result['statuses']} bad answers, {result['sockets']} broken connections"
    elif not result["requests"]:
        result["void"] = f"none in {seconds:.0f} s"
    return result
