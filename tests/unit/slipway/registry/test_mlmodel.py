"""What a model's files say of it."""

from pathlib import Path

import pytest

from slipway.registry import mlmodel, model_uri

LOADED = "AttributeError: module '__main__' has no attribute 'days'"


@pytest.mark.parametrize(
    ("flavor", "content", "names"),
    [
        ("serialization_format: skops, skops_trusted_types: [__main__.days, a.B]", b"", "__main__.days"),
        ("serialization_format: pickle", b"c__main__\ndays\n.", "__main__"),
        ("serialization_format: cloudpickle", b"c__main__\ndays\n.", ""),
        ("serialization_format: skops, skops_trusted_types: null", b"", ""),
    ],
    ids=["skops", "pickle", "cloudpickle", "nothing of it"],
)
def test_code_of_the_script_alone_is_a_gap(tmp_path: Path, flavor: str, content: bytes, names: str) -> None:
    """It is there while the script trains, and in no server; the cure is the same when the model does not load."""
    (tmp_path / "MLmodel").write_text(f"flavors: {{sklearn: {{pickled_model: model.pkl, {flavor}}}}}\n")
    (tmp_path / "model.pkl").write_bytes(content)
    gaps = mlmodel.find_gaps(tmp_path)[2:]

    assert [f"({names})" in gap and gap.endswith(mlmodel.CARRY) for gap in gaps] == ([True] if names else [])
    assert [model_uri.choose_cure(words) for words in [LOADED, *gaps]] == [
        mlmodel.CARRY,
        *[mlmodel.CARRY for _ in gaps],
    ]
    assert model_uri.choose_cure("") == model_uri.OTHERS
