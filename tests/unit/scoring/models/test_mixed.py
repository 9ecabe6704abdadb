"""The shortcut of rows with texts and numbers: equal to the bit where it is taken, and not taken where it is not."""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from scoring.models import mixed, proof
from scoring.models.rows import Table, frame
from scoring.models.shortcuts.sources import Source
from scoring.models.signature import Column
from tests.aliases import Data, Estimator

COLUMNS = [
    Column("size", "double"),
    Column("place", "string"),
    Column("rate", "double", required=False),
    Column("rooms", "long"),
    Column("new", "boolean"),
    Column("kind", "string", required=False),
    Column("light", "float"),
]
TEXTS, NUMBERS = ["place", "kind"], ["size", "rate", "light"]
CITIES, KINDS = ["Aix", "Bonn", "Zürich", "", "a b"], ["x", "y", "z"]


def _rows(n: int, seed: int) -> list[tuple[float, str, float, int, bool, str, float]]:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(n, 3)) * [1, 50, 1e-3]
    light = numbers[:, 2].astype(np.float32).tolist()
    return [
        (size, CITIES[city], rate, int(rooms), bool(rooms % 2), KINDS[kind], each)
        for (size, rate, _), each, city, kind, rooms in zip(
            numbers.tolist(), light, random.integers(5, size=n), random.integers(3, size=n),
            random.integers(9, size=n), strict=True,
        )
    ]  # fmt: skip


ROWS = _rows(150, 0)
FRAME = frame([Table(len(ROWS), rows=ROWS)], COLUMNS)
LACKING = FRAME.assign(rate=FRAME["rate"].mask(FRAME.index % 7 == 0), kind=FRAME["kind"].mask(FRAME.index % 5 == 0))
TARGET = FRAME["size"] * 3 + FRAME["rooms"] + (FRAME["place"] == "Bonn") * 2
CLASSES = {1: TARGET.median() < TARGET, 2: pd.cut(TARGET, 3, labels=["low", "middle", "high"]).astype(str)}
ONE_HOT = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), TEXTS), (StandardScaler(), [*NUMBERS, "rooms"]), sparse_threshold=0
)
FILLED = make_column_transformer(
    (make_pipeline(SimpleImputer(strategy="constant", fill_value="none"), OneHotEncoder(sparse_output=False)), TEXTS),
    (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["rate", "size"]),
    ("passthrough", ["new", "rooms"]),
)
RARE = OneHotEncoder(drop="first", min_frequency=40, handle_unknown="infrequent_if_exist")
ORDINAL = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), TEXTS),
    ("drop", ["new"]),
    remainder="passthrough",
)
CASES: dict[str, tuple[Estimator, str, Data, Data]] = {
    "one-hot, linear": (make_pipeline(ONE_HOT, ElasticNet(alpha=0.05)), "predict", FRAME, TARGET),
    "one-hot, two classes": (make_pipeline(ONE_HOT, LogisticRegression()), "predict_proba", FRAME, CLASSES[1]),
    "one-hot, three classes": (make_pipeline(ONE_HOT, LogisticRegression()), "predict_proba", FRAME, CLASSES[2]),
    "sparse": (
        make_pipeline(
            make_column_transformer((OneHotEncoder(), [*TEXTS, "rooms", "new"]), sparse_threshold=1), Ridge()
        ),
        "predict", FRAME, TARGET,
    ),
    "sparse classes": (
        make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), "predict_proba", FRAME, CLASSES[2],
    ),
    "imputers, classes": (make_pipeline(FILLED, RidgeClassifier()), "predict", LACKING, CLASSES[2]),
    "imputers, forest": (make_pipeline(FILLED, RandomForestRegressor(5)), "predict", LACKING, TARGET),
    "ordinal, boosting": (
        make_pipeline(ORDINAL, SimpleImputer(), GradientBoostingClassifier(n_estimators=5)),
        "predict_proba", LACKING, CLASSES[2],
    ),
    "ordinal, categories": (
        make_pipeline(ORDINAL, HistGradientBoostingClassifier(max_iter=5, categorical_features=[0, 1])),
        "predict", LACKING, CLASSES[2],
    ),
    "own categories": (
        HistGradientBoostingRegressor(max_iter=5, categorical_features=TEXTS), "predict", LACKING, TARGET,
    ),
    "rare and dropped": (
        make_pipeline(
            make_column_transformer(
                (RARE, ["place", "rooms"]),
                (OneHotEncoder(drop="if_binary"), ["new", "kind"]),
                (MinMaxScaler(clip=True), [0]),
                (make_pipeline(RobustScaler(), None, MaxAbsScaler()), slice(2, 3)),
                remainder=FunctionTransformer(),
            ),
            StandardScaler(),
            Ridge(),
        ),
        "predict", FRAME, TARGET,
    ),
    "single precision": (
        make_pipeline(
            make_column_transformer(
                (make_pipeline(SimpleImputer(), StandardScaler()), ["light"]), (MinMaxScaler(), ["light"]),
                (RobustScaler(), ["light"]), (OrdinalEncoder(dtype=np.float32), ["kind"]),
            ),
            Ridge(),
        ),
        "predict", FRAME, TARGET,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _find(estimator: Estimator, method: str, rows: Data = FRAME) -> mixed.Call | str:
    return mixed.find(estimator, method, COLUMNS, Table(5, frame=rows[:5].reset_index(drop=True)))


@pytest.mark.parametrize(("estimator", "method", "rows", "target"), CASES.values(), ids=CASES)
def test_columns_give_the_estimators_own_result(estimator: Estimator, method: str, rows: Data, target: Data) -> None:
    """Known and unknown categories, numbers and what is missing: the same to the bit, whatever the number of rows."""
    own = getattr(estimator.fit(rows, target), method)
    call = _find(estimator, method, rows)
    fresh, strange = _rows(200, 1), [(*row[:5], "never seen", row[6]) for row in _rows(20, 2)]
    tables = [Table(size, rows=fresh[:size]) for size in (1, 2, 7, 100, 200)]
    answers = [call.predict([table]) for table in tables]  # type: ignore[union-attr]

    assert not isinstance(call, str)
    for table, answer in zip(tables, answers, strict=True):
        assert proof.same(answer, own(frame([table], COLUMNS)))
    assert proof.same(call.predict(tables[:3]), own(frame(tables[:3], COLUMNS)))
    for table in (Table(20, rows=strange), Table(1, rows=strange[:1]), Table(150, frame=LACKING)):
        answer = call.predict([table])
        assert answer is None or proof.same(answer, own(frame([table], COLUMNS)))


def test_what_an_encoder_refuses_is_left_to_it() -> None:
    """An unknown category that is an error, and a number that is missing where none may be, get no answer here."""
    encoder = make_column_transformer((OneHotEncoder(), TEXTS), ("passthrough", ["size"]), sparse_threshold=0)
    call = _find(make_pipeline(encoder, Ridge()).fit(FRAME, TARGET), "predict")

    assert not isinstance(call, str)
    assert call.predict([Table(2, rows=[ROWS[0], (*ROWS[1][:5], "never seen", 0.5)])]) is None
    assert call.predict([Table(1, rows=[(2e15, *ROWS[0][1:])])]) is None
    assert call.predict([Table(1, frame=FRAME[:1].assign(size=np.nan))]) is None
    assert call.predict([Table(1, frame=FRAME[:1].drop(columns="rate"))]) is None


WORDS: dict[str, tuple[Estimator, str]] = {
    "indicator": (
        make_column_transformer((SimpleImputer(add_indicator=True), ["rate"])), "its SimpleImputer adds an indicator",
    ),
    "weights": (
        make_column_transformer((OrdinalEncoder(), TEXTS)).set_params(transformer_weights={"ordinalencoder": 2}),
        "its ColumnTransformer has weights",
    ),
    "marks": (
        make_column_transformer((SimpleImputer(missing_values=-1), ["size"])), "its SimpleImputer takes -1 for missing",
    ),
    "function": (
        make_column_transformer((FunctionTransformer(np.abs), ["rate"])),
        "no shortcut is known for FunctionTransformer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "why"), WORDS.values(), ids=WORDS)
def test_what_is_not_known_is_not_found(before: Estimator, why: str) -> None:
    """For any other transformer there is no shortcut, and the reason is given."""
    assert (
        _find(make_pipeline(before, HistGradientBoostingRegressor(max_iter=1)).fit(LACKING, TARGET), "predict") == why
    )


def test_many_categories_take_no_memory() -> None:
    """An encoder whose table would be large has no shortcut."""
    rows = pd.concat([FRAME] * 10, ignore_index=True).assign(place=[f"p{at}" for at in range(1500)])
    fitted = make_pipeline(make_column_transformer((OneHotEncoder(), ["place"])), Ridge())

    assert _find(fitted.fit(rows, [*range(1500)]), "predict") == "its OneHotEncoder has many categories"


def test_columns_in_another_order_are_seen() -> None:
    """A signature whose columns are not those of the training gives no shortcut."""
    fitted = make_pipeline(ONE_HOT, Ridge()).fit(FRAME[FRAME.columns[::-1]], TARGET)

    assert _find(fitted, "predict") == "it was trained with other columns"


GAPS = pd.DataFrame({"c": ["x", "y", None, "y", "y", None], "v": [0.5, 1.5, 9.0, 2.5, 3.0, 8.0]})
GAPPED = [Column("c", "string"), Column("v", "double")]
WITH_GAPS: dict[str, Estimator] = {
    "imputed": make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    "one-hot": OneHotEncoder(handle_unknown="ignore"),
    "one-hot, sparse": OneHotEncoder(),
    "ordinal": OrdinalEncoder(encoded_missing_value=-2, handle_unknown="use_encoded_value", unknown_value=-1),
}


@pytest.mark.parametrize("encoder", WITH_GAPS.values(), ids=WITH_GAPS)
@pytest.mark.parametrize("last", [Ridge(), HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=1)])
def test_a_missing_text_among_others_is_what_pandas_makes_of_it(encoder: Estimator, last: Estimator) -> None:
    """None among the texts of decoded rows gets the category that scikit-learn gives it in their DataFrame."""
    before = make_column_transformer((encoder, ["c"]), ("passthrough", ["v"]), sparse_threshold=0)
    fitted = make_pipeline(before, last).fit(GAPS, [0.0, 1.0, 5.0, 2.0, 3.0, 6.0])
    call = mixed.find(fitted, "predict", GAPPED, Table(2, frame=GAPS[:2]))
    mixed_rows, alone = Table(2, rows=[("x", 0.5), (None, 0.5)]), Table(1, rows=[(None, 0.5)], nulls=(0,))

    assert not isinstance(call, str)
    for tables in (
        [mixed_rows],
        [Table(1, rows=[("y", 0.5)]), mixed_rows],
        [alone],
        [mixed_rows, Table(2, frame=GAPS[1:3])],
    ):
        answer = call.predict(tables)
        assert answer is None or proof.same(answer, fitted.predict(frame(tables, GAPPED)))
    assert call.predict([mixed_rows]) is not None


def test_a_wide_matrix_is_never_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows whose sparse matrix would be large as a dense one are declined before it is made."""
    encoder = make_column_transformer((OneHotEncoder(), TEXTS), ("passthrough", ["size"]), sparse_threshold=1)
    call = _find(make_pipeline(encoder, Ridge()).fit(FRAME, TARGET), "predict")
    assert not isinstance(call, str)
    made: list[int] = []

    def make(source: Source) -> np.ndarray:
        made.append(len(source.values(1)))
        return np.zeros((1, 9))

    call.made = call.made._replace(apply=make)
    monkeypatch.setattr(mixed, "MOST_CELLS", 9 * 100)

    assert call.predict([Table(150, rows=ROWS)]) is None
    assert made == []
