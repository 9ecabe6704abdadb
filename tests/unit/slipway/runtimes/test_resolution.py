"""What uv resolves of what a model or a folder asks for, and what cannot be locked."""

from pathlib import Path

import pytest

from slipway.errors import SlipwayError
from slipway.runtimes import pythons, requirements, resolution
from slipway.runtimes.requirements import Asked
from slipway.settings import ROOT

NEAR = ((ROOT / "requirements" / "serving.txt").read_text(), "")  # what the checkout has, so that little is new


@pytest.fixture(autouse=True)
def _build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolution, "BUILD", tmp_path / "build")


def _resolve(files: Path, *lines: str) -> dict[str, set[str]]:
    asked = Asked("wine/requirements.txt", files, pythons.OWN, list(lines))
    return requirements.pins(resolution.resolve(asked, NEAR)[0])


def test_what_our_server_refuses_is_said_to_be_its_range(tmp_path: Path) -> None:
    """The user knows which of two ranges that exclude each other is none of the model's."""
    with pytest.raises(SlipwayError, match=r": Because .* \(our server requires pandas>=1\.5\)\n"):
        _resolve(tmp_path, "pandas==1.4.4")


@pytest.mark.thorough
def test_files_beside_the_requirements_are_read_where_they_lie(tmp_path: Path) -> None:
    """A file of constraints counts, and so does a change of it."""
    found = []
    for version in ("0.9.0", "0.8.10"):
        (tmp_path / "constraints.txt").write_text(f"tabulate=={version}\n")
        found.append(_resolve(tmp_path, "tabulate", "-c constraints.txt")["tabulate"])

    assert found == [{"0.9.0"}, {"0.8.10"}]


@pytest.mark.thorough
def test_a_folder_is_no_library(tmp_path: Path) -> None:
    """What may change has no hash, and is refused by name before anything is installed."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')

    with pytest.raises(SlipwayError, match=r"wine/requirements.txt names \./mine, which no hash can stand for"):
        _resolve(tmp_path, "./mine")
