"""The shortcuts through scikit-learn: equal to the bit where they are taken, and not taken where they would not be."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from scoring.models import proof, sklearn_fast
from tests.aliases import Data, Estimator

NUMBERS, CLASSES = load_diabetes(return_X_y=True), load_iris(return_X_y=True)
TWO = (CLASSES[0][:100], np.array(["no", "yes"])[CLASSES[1][:100]])


@pytest.mark.parametrize(
    ("estimator", "method", "data"),
    [
        (LinearRegression(), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ElasticNet(alpha=0.05)), "predict", NUMBERS),
        (make_pipeline(StandardScaler(with_mean=False), StandardScaler(with_std=False), Ridge()), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), LogisticRegression()), "predict", CLASSES),
        (LogisticRegression(), "predict", TWO),
        (LinearSVC(), "predict", TWO),
        (RidgeClassifier(), "predict", CLASSES),
        (RandomForestRegressor(20), "predict", NUMBERS),
        (make_pipeline(StandardScaler(), ExtraTreesRegressor(20)), "predict", NUMBERS),
        (RandomForestClassifier(20), "predict", TWO),
        (ExtraTreesClassifier(20), "predict_proba", CLASSES),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
def test_a_shortcut_gives_the_estimators_own_result(estimator: Estimator, method: str, data: Data) -> None:
    """What is known is found, and gives the same numbers to the bit, whatever the number of rows."""
    rows, target = data
    call = getattr(estimator.fit(rows, target), method)
    short = sklearn_fast.find(estimator, method)

    groups = [*proof.groups(rows[:5]), *proof.more_groups(estimator, rows[:5])]

    assert short is not None
    assert all(proof.agree(short, call, [rows]) for rows in groups)
    for size in (1, 2, 7, 100):
        assert np.array_equal(short(rows[:size]), call(rows[:size]))


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


@pytest.mark.parametrize(
    "estimator",
    [SVR(), DecisionTreeRegressor(), make_pipeline(MinMaxScaler(), Ridge()), make_pipeline(StandardScaler(), SVR())],
    ids=["kernel", "single tree", "another scaler", "another end"],
)
def test_what_is_not_known_is_not_found(estimator: Estimator) -> None:
    """For any other estimator there is no shortcut."""
    estimator.fit(*NUMBERS)

    assert sklearn_fast.find(estimator, "predict") is None


def test_a_class_of_the_same_name_is_not_known() -> None:
    """A class that only has the name of one of scikit-learn's is not taken for it."""
    own = type("ElasticNet", (ElasticNet,), {"predict": lambda _, rows: np.zeros(len(rows))})().fit(*NUMBERS)

    assert sklearn_fast.find(own, "predict") is None


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
    assert np.isnan(proof.with_nan(example)).sum(axis=1).tolist() == [1] * proof.NAN_ROWS
