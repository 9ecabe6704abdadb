"""Why a script failed, in a line with a cure."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway import settings
from slipway.model_folder import ModelFolder, Rules
from slipway.settings import ROOT
from slipway.training import causes

MODEL = ModelFolder(ROOT / "model", "wine", "rmse", "minimize", Rules("rmse", "minimize"), "main.py")
TRACEBACK = """\
Traceback (most recent call last):
  File "main.py", line 3, in <module>
    import {0}
ModuleNotFoundError: No module named '{0}'
"""


@pytest.mark.parametrize(
    ("module", "library"),
    [("xgboost", "xgboost"), ("sklearn.svm", "scikit-learn"), ("PIL", "pillow"), ("imblearn_x", "imblearn-x")],
    ids=["its own name", "another name", "capitals", "an underscore"],
)
def test_a_missing_module_has_the_command_that_adds_it(module: str, library: str) -> None:
    """The cure names the library that brings the module."""
    error = causes.explain(settings.load({}), MODEL, 1, TRACEBACK.format(module))

    assert error.message == f"main.py needs the library {library}, which is not locked"
    assert error.cure == f"make add LIBRARY={library}"


def test_a_folder_with_a_requirements_file_has_it_in_the_cure(tmp_path: Path) -> None:
    """Where the folder says what it needs, that is the first place to say it."""
    (tmp_path / "requirements.txt").touch()
    error = causes.explain(settings.load({}), replace(MODEL, path=tmp_path), 1, TRACEBACK.format("shap"))

    assert error.cure == "add it to requirements.txt; or make add LIBRARY=shap"


@pytest.mark.parametrize(("file", "package"), [("libgomp.so.1", "libgomp1"), ("libodbc.so.2", "…")])
def test_a_missing_system_library_has_a_cure(file: str, package: str) -> None:
    """A wheel may load what the image, or the machine, does not have."""
    said = f"OSError: {file}: cannot open shared object file: No such file or directory"
    error = causes.explain(settings.load({}), MODEL, 1, said)

    assert error.message == f"main.py needs the system library {file}"
    assert error.cure == f'system = ["{package}"] in model.toml; with RUNTIME=host, install it here'


@pytest.mark.parametrize(
    ("code", "variables", "words", "cure"),
    [
        (137, {"MODEL_MEMORY": "2g"}, "more memory than MODEL_MEMORY=2g", "MODEL_MEMORY=8g"),
        (-9, {"RUNTIME": "host"}, "more memory than there is", "less data"),
    ],
    ids=["in a container", "a process"],
)
def test_a_killed_script_may_have_needed_more_memory(
    code: int, variables: dict[str, str], words: str, cure: str
) -> None:
    """SIGKILL, however the runtime reports it, is told from an error of the script."""
    error = causes.explain(settings.load(variables), MODEL, code, "some output")

    assert words in error.message
    assert cure in error.cure


@pytest.mark.parametrize(
    ("code", "said", "message"),
    [
        (1, "x\nValueError: no rows\n", "main.py ended with exit code 1: ValueError: no rows"),
        (
            1,
            f"ValueError: {'many words ' * 30}",
            f"main.py ended with exit code 1: ValueError: {'many words ' * 26}…",
        ),
        (2, "usage: main.py [-h]\n", "main.py ended with exit code 2; see its output above"),
        (
            2,
            "usage: main.py [-h]\nmain.py: error: the following arguments are required: --alpha\n",
            "main.py was run with other arguments than it takes: the following arguments are required: --alpha",
        ),
        (-11, "", "main.py ended with exit code 139; see its output above"),
    ],
    ids=["a traceback", "a long one", "usage", "arguments", "a crash"],
)
def test_another_failure_is_named_by_its_last_words(code: int, said: str, message: str) -> None:
    """The exception stands in the error where there is one."""
    assert causes.explain(settings.load({}), MODEL, code, said).message == message


@pytest.mark.parametrize(
    ("said", "words", "cure"),
    [
        (
            "Root error: Untrusted types found in the file: ['__main__.<lambda>'].",
            "trust __main__.<lambda>",
            "mlflow.sklearn.",
        ),
        (
            "Untrusted types found in the file: ['a.A', 'b.B', 'c.C', 'd.D', 'lightgbm.basic.Booster', 'f.F'].",
            "trust a.A, b.B, c.C, d.D, lightgbm.basic.Booster and 1 more",
            "mlflow.lightgbm.log_model(…), or mlflow.sklearn.",
        ),
        ("MlflowException: The sklearn model could not be serialized in the skops …", "name a part of it", "mlflow.sk"),
    ],
    ids=["a function", "many and a booster", "a function in a function"],
)
def test_what_skops_refuses_is_named_whole_with_its_cure(said: str, words: str, cure: str) -> None:
    """MLflow's own hint, to trust the names, gives a version that does not load."""
    error = causes.explain(settings.load({}), MODEL, 1, f"Traceback\nmlflow.exceptions.MlflowException: {said}\n")

    assert error.message.startswith("main.py cannot log its scikit-learn model: skops")
    assert error.message.endswith(words)
    assert error.cure.startswith(cure)
    assert 'serialization_format="cloudpickle"' in error.cure


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ('mlflow.set_tracking_uri("http://localhost:5000")', True),
        ("    set_tracking_uri(uri=URI)  # ours", True),
        ('# mlflow.set_tracking_uri("http://localhost:5000")', False),
        ('mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])', False),
    ],
    ids=["an address", "a name", "a comment", "what we set"],
)
def test_a_script_that_logs_elsewhere_is_known_before_it_trains(tmp_path: Path, line: str, *, warned: bool) -> None:
    """The warning has the call itself."""
    (tmp_path / "main.py").write_text(f"import mlflow\n{line}\n")
    found = causes.foresee(replace(MODEL, path=tmp_path))

    assert [line.strip() in each for each in found] == [True] * warned
