"""What a version is served without: libraries that MLflow and skops ask for, and loading and predicting never need.

The environment's own Python runs this file, in an image's build, too, with what to keep and the command that removes:
python left_out.py cryptography -- uv pip uninstall. What another library asks for stays.
"""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

ASKING = {"mlflow-skinny", "skops"}  # in vain, for these
LEFT_OUT = {
    "databricks-sdk": "MLflow's client of Databricks; brings the next six",
    "google-auth": "",
    "cryptography": "",
    "cffi": "",
    "pycparser": "",
    "pyasn1": "",
    "pyasn1-modules": "",
    "gitpython": "MLflow notes the commit of a run; brings the next two",
    "gitdb": "",
    "smmap": "",
    "prettytable": "skops's model cards; brings the next",
    "wcwidth": "",
}
EMPTY = {"databricks-sdk": "databricks"}  # MLflow looks for databricks.agents, which needs a package to look in


NAME = re.compile(r"\s*([\w.-]+)\s*(\[)?")  # of a requirement, and whether it asks for extras


def find(packages: Path, kept: set[str]) -> list[str]:
    """Return the names of installed libraries that can go: `LEFT_OUT`, without `kept` and what those that stay ask for.

    What a library asks for in its extras counts where it is `kept`, or somebody asks for it with extras.
    """
    there = metadata.distributions(path=[str(packages)])
    lines = {_plain(each.metadata["Name"]): each.requires or [] for each in there}
    named = [found for each in lines.values() for line in each if (found := NAME.match(line))]
    wide = kept | {_plain(found[1]) for found in named if found[2]}
    stay, new = set[str](), {name for name in lines if name not in LEFT_OUT or name in kept}
    while new:
        stay |= new
        asked = {wanted for name in new for wanted in _ask(lines[name], extras=name in wide)
                 if name not in ASKING - kept or wanted not in LEFT_OUT}  # fmt: skip
        new = (asked & lines.keys()) - stay
    return sorted(lines.keys() - stay)


def _ask(lines: list[str], *, extras: bool) -> set[str]:
    return {_plain(found[1]) for line in lines if (extras or "extra ==" not in line) and (found := NAME.match(line))}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Remove what can go from the environment of this very Python, and print the names."""
    at = sys.argv.index("--")
    packages = Path(sysconfig.get_path("purelib"))
    names = find(packages, {_plain(name) for name in sys.argv[1:at]})
    if names:
        subprocess.run([*sys.argv[at + 1 :], *names], check=True, stdout=sys.stderr)
    for name in set(names) & EMPTY.keys():
        (packages / EMPTY[name]).mkdir(exist_ok=True)
    print("\n".join(names))


if __name__ == "__main__":
    main()
