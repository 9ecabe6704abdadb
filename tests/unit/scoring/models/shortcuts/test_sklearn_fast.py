"""The shortcuts through scikit-learn: equal to the bit where they are taken, and not taken where they would not be."""

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from scoring.models import proof
from scoring.models.shortcuts import sklearn_fast, trees
from tests.aliases import Data, Estimator

NUMBERS, CLASSES, DIGITS = (load(return_X_y=True) for load in (load_diabetes, load_iris, load_digits))
SEVERAL = (NUMBERS[0], np.stack([NUMBERS[1], NUMBERS[1] ** 2, -NUMBERS[1]], axis=1))
PLACES = make_column_transformer(
    (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), [1]),
    (OneHotEncoder(handle_unknown="ignore", sparse_output=False), slice(1, 2)),
    remainder="passthrough",
)
TWO = (CLASSES[0][:100], np.array(["no", "yes"])[CLASSES[1][:100]])


@pytest.mark.parametrize(
    ("estimator", "method", "data"),
    [
        (LinearRegression(), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)), "predict", NUMBERS),
        (make_pipeline(StandardScaler(with_mean=False), StandardScaler(with_std=False), Ridge()), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), LogisticRegression()), "predict", CLASSES),
        (LogisticRegression(), "predict", TWO),
        (LogisticRegression(), "predict_proba", TWO),
        (make_pipeline(SimpleImputer(), MinMaxScaler(clip=True), LogisticRegression()), "predict_proba", CLASSES),
        (make_pipeline(RobustScaler(), MaxAbsScaler(), "passthrough", Ridge()), "predict", NUMBERS),
        (make_pipeline(PLACES, StandardScaler(), Ridge()), "predict", NUMBERS),
        (LinearSVC(), "predict", TWO),
        (RidgeClassifier(), "predict", CLASSES),
        (RandomForestRegressor(20), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ExtraTreesRegressor(20)), "predict", NUMBERS),
        (RandomForestRegressor(7), "predict", SEVERAL),
        (RandomForestClassifier(20), "predict", TWO),
        (ExtraTreesClassifier(20), "predict_proba", CLASSES),
        (RandomForestClassifier(3), "predict_proba", DIGITS),
        (GradientBoostingRegressor(), "predict", NUMBERS),
        (GradientBoostingRegressor(n_estimators=50, loss="huber", init="zero", n_iter_no_change=1), "predict", NUMBERS),
        (GradientBoostingClassifier(n_estimators=20), "predict", CLASSES),
        (GradientBoostingClassifier(n_estimators=20), "predict_proba", CLASSES),
        (GradientBoostingClassifier(n_estimators=20, loss="exponential"), "predict_proba", TWO),
        (GradientBoostingClassifier(n_estimators=20), "predict", TWO),
        (HistGradientBoostingRegressor(monotonic_cst=[1, 0, -1] + [0] * 7), "predict", NUMBERS),
        (HistGradientBoostingRegressor(max_iter=20, loss="poisson"), "predict", NUMBERS),
        (HistGradientBoostingRegressor(max_iter=5, categorical_features=[1, 3]), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=20)), "predict", TWO),
        (HistGradientBoostingClassifier(max_iter=20), "predict_proba", TWO),
        (HistGradientBoostingClassifier(max_iter=20), "predict", CLASSES),
        (HistGradientBoostingClassifier(max_iter=5), "predict_proba", DIGITS),
        (HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=300), "predict", NUMBERS),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
def test_a_shortcut_gives_the_estimators_own_result(estimator: Estimator, method: str, data: Data) -> None:
    """What is known is found, and gives the same numbers to the bit, whatever the number of rows."""
    rows, target = data
    call = getattr(estimator.fit(rows, target), method)
    short = sklearn_fast.find(estimator, method)

    groups = [*proof.groups(rows[:5]), *proof.more_groups(estimator, rows[:5])]

    assert not isinstance(short, str)
    assert all(proof.agree(short, call, [rows]) for rows in groups)
    for size in (1, 2, 7, 100, len(rows)):
        assert np.array_equal(short(rows[:size]), call(rows[:size]))
        assert np.array_equal(short(np.asfortranarray(rows[:size])), call(np.asfortranarray(rows[:size])))


@pytest.mark.parametrize("odd", [np.nan, np.inf, 2e15])
def test_odd_values_of_an_example_cost_their_rows_only(odd: float) -> None:
    """A value that is missing, or too large, leaves the proof the other rows.

    Of an example without other rows, the other values.
    """
    rows = NUMBERS[0][:5].copy()
    rows[1, 2] = odd

    assert proof.finite(rows).tolist() == rows[[0, 2, 3, 4]].tolist()
    assert proof.finite(rows[1:2]).tolist() == [[*rows[1, :2], 0.0, *rows[1, 3:]]]


def test_large_values_of_an_example_leave_the_other_rows() -> None:
    """Of a group, only those rows are left out whose values are too large."""
    rows = NUMBERS[0][:5].copy()
    rows[0, 0] = 0.9 * proof.LARGEST
    found = proof.groups(rows)

    assert [len(each) for each in found if len(each) < 20] == [5, 1]
    assert len(found) == 6
    assert len(found[2]) > 48  # of 64 near the example
    assert all(np.abs(each).max() < proof.LARGEST for each in found)


def test_what_is_missing_goes_where_histograms_send_it() -> None:
    """A NaN goes to the side that a split has chosen for it, whether or not training has seen one."""
    rows, target = NUMBERS[0].copy(), NUMBERS[1]
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    for given in (rows, NUMBERS[0]):
        model = HistGradientBoostingRegressor(max_iter=20).fit(given, target)
        short = sklearn_fast.find(model, "predict")

        assert not isinstance(short, str)
        assert proof.agree(short, model.predict, [rows[:200]])


def test_what_is_missing_is_filled_and_what_is_refused_is_refused() -> None:
    """A NaN is filled as an imputer fills it; a category that an encoder refuses gets the encoder's error."""
    rows, target = NUMBERS[0].copy(), NUMBERS[1]
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    for strategy in ("mean", "median", "most_frequent", "constant"):
        model = make_pipeline(SimpleImputer(strategy=strategy), StandardScaler(), Ridge()).fit(rows, target)
        short = sklearn_fast.find(model, "predict")
        assert not isinstance(short, str)
        assert proof.agree(short, model.predict, [rows, rows[:1], NUMBERS[0]])
    refusing = make_pipeline(make_column_transformer((OrdinalEncoder(), [1]), remainder="passthrough"), Ridge())
    short = sklearn_fast.find(refusing.fit(*NUMBERS), "predict")

    assert not isinstance(short, str)
    with pytest.raises(ValueError, match="unknown categories"):
        short(np.ones((1, 10)))


def test_trees_too_large_to_be_copied_are_walked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest of classes whose copy would take too much memory predicts the same, tree by tree."""
    monkeypatch.setattr(trees, "MOST_NODES", 10)
    model = RandomForestClassifier(5).fit(*CLASSES)
    short = sklearn_fast.find(model, "predict_proba")

    assert not isinstance(short, str)
    assert trees.sum_vectors([tree.tree_ for tree in model.estimators_]) is None
    assert proof.agree(short, model.predict_proba, [CLASSES[0]])


@pytest.mark.parametrize(
    ("forest", "method", "data"),
    [
        (RandomForestRegressor(7), "predict", NUMBERS),
        (ExtraTreesRegressor(7), "predict", SEVERAL),
        (RandomForestClassifier(7), "predict", TWO),
        (ExtraTreesClassifier(7), "predict_proba", CLASSES),
    ],
    ids=["one value", "several values", "classes", "probabilities"],
)
def test_many_rows_are_predicted_sorted(forest: Estimator, method: str, data: Data) -> None:
    """And come back in their own order, to the bit."""
    random = np.random.default_rng(0)
    rows = random.normal(data[0].mean(axis=0), data[0].std(axis=0), (sklearn_fast.MANY + 1, data[0].shape[1]))
    call = getattr(forest.fit(*data), method)
    short = sklearn_fast.find(forest, method)

    assert not isinstance(short, str)
    assert np.array_equal(short(rows), call(rows))


WORDS = {
    "kernel": (SVR(), "no shortcut is known for SVR"),
    "single tree": (DecisionTreeRegressor(), "no shortcut is known for DecisionTreeRegressor"),
    "another scaler": (make_pipeline(Normalizer(), Ridge()), "no shortcut is known for Normalizer"),
    "another end": (make_pipeline(StandardScaler(), SVR()), "no shortcut is known for SVR"),
    "another start": (GradientBoostingRegressor(init=Ridge()), "it begins with the predictions of Ridge"),
}


@pytest.mark.parametrize(("estimator", "why"), WORDS.values(), ids=WORDS)
def test_what_is_not_known_is_not_found(estimator: Estimator, why: str) -> None:
    """For any other estimator there is no shortcut, and the reason is given."""
    assert sklearn_fast.find(estimator.fit(*NUMBERS), "predict") == why


def test_a_class_of_the_same_name_is_not_known() -> None:
    """A class that only has the name of one of scikit-learn's is not taken for it."""
    own = type("ElasticNet", (ElasticNet,), {"predict": lambda _, rows: np.zeros(len(rows))})().fit(*NUMBERS)

    assert sklearn_fast.find(own, "predict") == "no shortcut is known for ElasticNet"


def test_a_shortcut_that_differs_is_seen() -> None:
    """A result that differs in one row's last bit, or in its type, or where the estimator raises, does not agree."""
    model = LinearRegression().fit(*NUMBERS)
    rows = [NUMBERS[0][:5]]

    assert not proof.agree(model.predict, lambda rows: np.nextafter(model.predict(rows), np.inf), rows)
    assert not proof.agree(model.predict, lambda rows: model.predict(rows).astype(np.float32), rows)
    assert not proof.agree(lambda _: model.predict([[np.nan] * 10]), model.predict, rows)


def test_an_error_for_some_rows_hides_no_difference_in_others() -> None:
    """Where both ways raise an error for one of the groups, the others are compared all the same."""
    model = LinearRegression().fit(*NUMBERS)
    rows = [NUMBERS[0][:5], np.full((1, 10), np.nan)]

    assert proof.agree(model.predict, model.predict, rows)
    assert not proof.agree(model.predict, lambda rows: model.predict(rows) + 1, rows)


def test_a_split_seen_as_double_is_seen() -> None:
    """A forest that compares with its thresholds as doubles agrees near the example, and not at the thresholds."""
    forest = RandomForestRegressor(20, random_state=0).fit(*NUMBERS)
    example = NUMBERS[0][:5] * 1.013  # rows that it was trained with lie at thresholds

    def leaf(tree: Estimator, row: Data) -> float:
        node = 0
        while tree.feature[node] >= 0:
            node = (
                tree.children_left[node]
                if row[tree.feature[node]] <= tree.threshold[node]
                else tree.children_right[node]
            )
        return float(tree.value[node, 0, 0])

    def doubles(rows: np.ndarray) -> np.ndarray:
        total = np.zeros(len(rows))
        for each in forest.estimators_:
            total += [leaf(each.tree_, row) for row in rows]
        return total / 20

    splits = proof.more_groups(forest, example)[-1][::20]

    assert proof.agree(doubles, forest.predict, [example])
    assert not proof.agree(doubles, forest.predict, [splits])


def test_far_rows_are_far_and_splits_are_splits() -> None:
    """The rows of the proof reach from zero to 10**15, and hold thresholds of the trees behind a scaler."""
    estimator = make_pipeline(StandardScaler(), RandomForestRegressor(5, random_state=0)).fit(*NUMBERS)
    example = NUMBERS[0][:3]
    reach = [float(np.abs(rows).max()) for rows in proof.groups(example)]
    splits = proof.more_groups(estimator, example)[-1]
    tree = estimator[-1].estimators_[0].tree_
    scaled = estimator[0].transform(splits)
    pairs = zip(tree.feature, tree.threshold, strict=True)

    assert min(reach) == 0.0
    assert 0.9 * proof.LARGEST < max(reach) < proof.LARGEST
    assert any(np.isclose(scaled[:, column], threshold, rtol=0, atol=1e-12).any() for column, threshold in pairs)
    assert np.isnan(proof.with_nan(example)).sum(axis=1).tolist() == [1] * 10
    assert np.isnan(proof.with_nan(DIGITS[0].repeat(2, axis=1))).sum(axis=1).tolist() == [2] * proof.NAN_ROWS
