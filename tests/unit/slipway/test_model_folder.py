"""The model folder: what model.toml must say, and what identifies a folder's content."""

from pathlib import Path

import pytest

from slipway import model_folder
from slipway.errors import SlipwayError
from slipway.settings import ROOT

GOOD = {"name": '"wine"', "metric": '"f1"', "direction": '"maximize"'}


def _write(path: Path, **values: str) -> Path:
    lines = [f"{key} = {value}" for key, value in (GOOD | values).items() if value]
    (path / "model.toml").write_text("\n".join(lines) + "\n")
    return path


def test_a_folder_says_its_name_and_metric(tmp_path: Path) -> None:
    """model.toml gives the registered name, and the metric that decides with its direction."""
    model = model_folder.load(_write(tmp_path))

    assert model == model_folder.ModelFolder(tmp_path, "wine", "f1", "maximize", model_folder.Rules("f1", "maximize"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": '"wine/red"'}, "name is 'wine/red'"),
        ({"name": '"wine:1"'}, "name is 'wine:1'"),
        ({"name": '"80%"'}, "name is '80%'"),
        ({"name": '" wine"'}, "name is ' wine'"),
        ({"name": '"wine..move"'}, "name is 'wine..move'"),
        ({"name": '"wine.release-lock"'}, "name is 'wine.release-lock'"),
        ({"name": ""}, "name is None"),
        ({"name": "3"}, "name is 3"),
        ({"metric": '""'}, "metric is ''"),
        ({"direction": '"up"'}, "direction is 'up'"),
        ({"script": '"../train.py"'}, "script is '../train.py'"),
        ({"script": '"train.sh"'}, "script is 'train.sh'"),
        ({"system": '"libgomp1"'}, "system is 'libgomp1'"),
        ({"system": '["libgomp1; reboot"]'}, "system is ['libgomp1; reboot']"),
        ({"name": "wine"}, "is not TOML"),
    ],
    ids=[
        "a slash",
        "a colon",
        "a percent sign",
        "a space first",
        "a lock's mark",
        "a lock",
        "no name",
        "a number",
        "no metric",
        "no direction",
        "elsewhere",
        "no Python",
        "no list",
        "no package",
        "no TOML",
    ],
)
def test_a_wrong_model_toml_is_named(tmp_path: Path, values: dict[str, str], words: str) -> None:
    """What cannot be used is named with its file, and its value."""
    with pytest.raises(SlipwayError) as raised:
        model_folder.load(_write(tmp_path, **values))

    assert words in raised.value.message
    assert str(tmp_path / "model.toml") in raised.value.message


@pytest.mark.parametrize("name", ["Wine Quality", "wine_quality", "Wine.Quality-2", "Größe", "a+b", "x" * 200])
def test_a_name_may_have_what_the_registry_and_a_shell_take(tmp_path: Path, name: str) -> None:
    """Capitals, spaces, underscores and letters of any language name a model; images bear a folded form."""
    model = model_folder.load(_write(tmp_path, name=f'"{name}"'))

    assert model.name == name
    assert model_folder.PLAIN.fullmatch(model_folder.plain(name))


def test_two_names_are_never_folded_into_one() -> None:
    """What an image cannot bear is replaced, and a digest tells it from a name that is plain already."""
    folded = {model_folder.plain(name) for name in ("wine-quality", "Wine Quality", "Wine-Quality", "wine quality")}

    assert len(folded) == 4
    assert all(name.startswith("wine-quality") for name in folded)


def test_the_script_is_named_by_model_toml_or_mlproject(tmp_path: Path) -> None:
    """`script` of model.toml comes first, then train.py if it is there, then what MLproject's entry point main runs."""
    bare = model_folder.load(_write(tmp_path)).script
    (tmp_path / "MLproject").write_text("entry_points: {main: {command: 'python main.py {alpha}'}}")
    by_project = model_folder.load(tmp_path).script
    (tmp_path / "train.py").touch()
    there = model_folder.load(tmp_path).script
    said = model_folder.load(_write(tmp_path, script='"steps/fit.py"')).script

    assert (bare, by_project, there, said) == ("train.py", "main.py", "train.py", "steps/fit.py")


@pytest.mark.parametrize("project", ["not: [yaml", "entry_points: none", "entry_points: {main: {command: 'make'}}"])
def test_an_mlproject_that_runs_no_python_file_names_no_script(tmp_path: Path, project: str) -> None:
    """What cannot be read, or runs something else, leaves train.py."""
    (_write(tmp_path) / "MLproject").write_text(project)

    assert model_folder.load(tmp_path).script == "train.py"


def test_a_folder_with_a_project_of_its_own_has_its_own_lock(tmp_path: Path) -> None:
    """requirements/ is the checkout's, or the folder's where that has a pyproject.toml with the group `model`."""
    shared = model_folder.load(_write(tmp_path)).requirements
    (tmp_path / "pyproject.toml").write_text("[dependency-groups]\nmodel = []\n")
    own = model_folder.load(tmp_path).requirements

    assert shared == ROOT / "requirements"
    assert own == tmp_path / "requirements"


def test_system_libraries_are_sorted_and_named_once(tmp_path: Path) -> None:
    """The list of Debian packages is the same however it was written."""
    model = model_folder.load(_write(tmp_path, system='["libgomp1", "g++", "libgomp1"]'))

    assert model.system == ("g++", "libgomp1")


def test_a_folder_without_model_toml_is_none(tmp_path: Path) -> None:
    """A folder that is no model folder is named, with the setting that chooses another."""
    with pytest.raises(SlipwayError) as raised:
        model_folder.load(tmp_path)

    assert raised.value.message == f"no model folder at {tmp_path}: it has no model.toml"
    assert "MODEL_DIR" in raised.value.cure


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with two files, one of them below."""
    (tmp_path / "code" / "below").mkdir(parents=True)
    (tmp_path / "code" / "a.py").write_text("a")
    (tmp_path / "code" / "below" / "b.py").write_text("b")
    return tmp_path / "code"


def test_the_same_content_has_the_same_digest(code: Path, tmp_path: Path) -> None:
    """A copy elsewhere, written in another order at another time, has the digest of its original."""
    copy = tmp_path / "elsewhere" / "code"
    (copy / "below").mkdir(parents=True)
    (copy / "below" / "b.py").write_text("b")
    (copy / "a.py").write_text("a")

    assert model_folder.digest([copy]) == model_folder.digest([code])


@pytest.mark.parametrize("name", ["__pycache__/a.pyc", "below/__pycache__/b.pyc", ".DS_Store", ".cache/x"])
def test_caches_do_not_count(code: Path, name: str) -> None:
    """Python's caches and hidden files change no digest."""
    before = model_folder.digest([code])
    (code / name).parent.mkdir(exist_ok=True)
    (code / name).write_text("x")

    assert model_folder.digest([code]) == before


@pytest.mark.parametrize("change", ["content", "name", "one more", "one less", "moved", "swapped"])
def test_a_change_counts(code: Path, change: str) -> None:
    """Any other change of a file's content, name or place changes the digest."""
    before = model_folder.digest([code])
    match change:
        case "content":
            (code / "a.py").write_text("b")
        case "name":
            (code / "a.py").rename(code / "c.py")
        case "one more":
            (code / "c.py").touch()
        case "one less":
            (code / "a.py").unlink()
        case "moved":
            (code / "a.py").rename(code / "below" / "a.py")
        case "swapped":
            (code / "a.py").write_text("b")
            (code / "below" / "b.py").write_text("a")

    assert model_folder.digest([code]) != before


def test_facts_and_the_order_of_parts_count(code: Path) -> None:
    """Further facts, where one ends and the next begins, and the order of the parts are in the digest."""
    parts = [code / "a.py", code / "below"]
    digests = [
        model_folder.digest(parts),
        model_folder.digest(parts, "fact"),
        model_folder.digest(parts, "fa", "ct"),
        model_folder.digest(parts, "ct", "fa"),
        model_folder.digest(parts[::-1]),
    ]

    assert len(set(digests)) == len(digests)


PARAMS = """# how it is trained
alpha=0.3
l1-ratio=0.5
quick=
title="two words" # a note

OMP_NUM_THREADS=1
"""


def test_params_are_arguments_or_variables(tmp_path: Path) -> None:
    """A line of params.env is an argument of the script, one with a name in capitals a variable of all scripts."""
    (tmp_path / "params.env").write_text(PARAMS)

    arguments, variables = model_folder.read_params(tmp_path)

    assert arguments == ["--alpha", "0.3", "--l1-ratio", "0.5", "--quick", "--title", "two words"]
    assert variables == {"OMP_NUM_THREADS": "1"}


def test_a_folder_needs_no_params(tmp_path: Path) -> None:
    """Without the file there are none."""
    assert model_folder.read_params(tmp_path) == ([], {})


def test_params_of_an_editor(tmp_path: Path) -> None:
    """A byte order mark is none of a name; a file that is not UTF-8 is named."""
    file = tmp_path / "params.env"
    file.write_bytes(b"\xef\xbb\xbfalpha=1\r\n")
    assert model_folder.read_params(tmp_path) == (["--alpha", "1"], {})

    file.write_bytes(b"alpha=\xff\n")
    with pytest.raises(SlipwayError, match=r"params\.env is not UTF-8"):
        model_folder.read_params(tmp_path)


@pytest.mark.parametrize("line", ["alpha", "l1-ratio = 0.5", "a=two words", 'a="open', "=3", "A=\0"])
def test_a_line_that_is_no_parameter_is_named(tmp_path: Path, line: str) -> None:
    """The error says which line of which file it is."""
    (tmp_path / "params.env").write_text(f"# fine\n{line}\n")

    with pytest.raises(SlipwayError, match=r"params\.env, line 2: .* is not NAME=VALUE"):
        model_folder.read_params(tmp_path)
