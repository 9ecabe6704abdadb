"""The model server as data: where MLflow is, and that docs/api.md lists every setting."""

from dataclasses import fields

import pytest

from scoring.settings import Settings
from tests.repo import tree

MODULES = tree.modules("scoring")
BY_HAND = {"model", "host", "port", "identity"}  # what slipway sets itself


def test_mlflow_is_for_other_flavours() -> None:
    """Only the loader of other flavours and custom models, the check of params, and the reference import MLflow."""
    assert [
        name
        for name, path in MODULES.items()
        if any(each.split(".")[0] == "mlflow" for each in tree.imports(path, types=False))
    ] == [
        "models.params",
        "pyfunc",
        "reference",
    ]


@pytest.mark.parametrize(
    "setting", [each for each in fields(Settings) if each.name not in BY_HAND], ids=lambda each: each.name
)
def test_settings_are_listed(setting: object) -> None:
    """docs/api.md has a line for each setting, with the default and the words of --help."""
    name, default, text = setting.name, setting.default, setting.metadata["help"]  # type: ignore[attr-defined]

    assert f"| `SCORING_{name.upper()}` | {default if default != '' else 'none'} | {text} |" in tree.read("docs/api.md")
