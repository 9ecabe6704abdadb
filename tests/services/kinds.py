"""Training scripts, one function for each kind of model, as MLflow's documentation teaches them.

test_kinds.py copies this file to a model folder as its train.py, with a call of one function as the last line.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import Array, Object, Property
from pydantic import BaseModel
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

Json = Any  # whatever a model takes or gives
random = np.random.default_rng(0)
x = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"])
y = x["a"] - 2 * x["b"]
words = np.where(y > 0, "high", "low")
two = pd.DataFrame({"left": y, "right": y * 2})
images = random.integers(0, 255, (5, 8, 8)).astype("uint8")


def log(flavor: Json, model: Json, **options: Json) -> None:
    """Log a model with the columns' signature and example, or with others, and a metric."""
    example = options.pop("example", x[:4])
    signed = options.pop("signed", example)
    if signed is not None and "signature" not in options:
        options["signature"] = infer_signature(signed, model.predict(signed))
    with mlflow.start_run():
        mlflow.log_metric("score", 0.9)
        flavor.log_model(model, name="model", input_example=example, **options)


def log_python(model: Json, example: Json, signature: Json = None) -> None:
    """Log a PythonModel, or a function."""
    with mlflow.start_run():
        mlflow.log_metric("score", 0.9)
        mlflow.pyfunc.log_model(name="model", python_model=model, input_example=example, signature=signature)


class Means(PythonModel):
    """Answers each row, of whatever shape, with its mean."""

    def predict(self, context: Json, model_input: Json, params: Json = None) -> Json:  # noqa: ARG002 -- MLflow's interface
        """Return an array [n]."""
        return np.asarray(model_input, float).reshape(len(model_input), -1).mean(axis=1)


class Answers(PythonModel):
    """Answers a DataFrame with what a function makes of it and the params."""

    def __init__(self, make: Json) -> None:
        self.make = make

    def predict(self, context: Json, model_input: Json, params: Json = None) -> Json:  # noqa: ARG002 -- MLflow's interface
        """Return whatever the function returns."""
        return self.make(model_input, params or {})


class Message(BaseModel):
    """What a model with type hints takes."""

    role: str
    content: str
    score: float = 0.0


def columns() -> None:
    """Log named columns of numbers."""
    log(mlflow.sklearn, LinearRegression().fit(x, y))


def mixed() -> None:
    """Log text, categories, dates, truth values, and a value that is missing."""
    x["text"] = ["a cat", "two dogs", "no cat", "fish"] * 15
    x["kind"] = pd.Categorical(["red", "blue", "red"] * 20)
    x["day"] = pd.date_range("2024-01-01", periods=60, freq="11D")
    x["yes"] = x["a"] > 0
    x.loc[1, "c"] = np.nan
    prepare = make_column_transformer(
        (TfidfVectorizer(), "text"),
        (OneHotEncoder(), ["kind"]),
        (FunctionTransformer(lambda days: days.apply(lambda day: day.dt.month)), ["day"]),
        remainder="passthrough",
    )
    model = make_pipeline(prepare, SimpleImputer(), LinearRegression()).fit(x, y)
    log(mlflow.sklearn, model, example=x[:4], serialization_format="cloudpickle")


def integer_names() -> None:
    """Log columns named 0, 1, 2."""
    x.columns = [0, 1, 2]
    log(mlflow.sklearn, LinearRegression().fit(x.to_numpy(), y))


def matrix() -> None:
    """Log a tensor [-1, 3], labels that are words."""
    log(mlflow.sklearn, LogisticRegression().fit(x.to_numpy(), words), example=x.to_numpy()[:4])


def images_() -> None:
    """Log a tensor [-1, 8, 8] of bytes."""
    log_python(Means(), images[:2], infer_signature(images, np.zeros(5)))


def named_tensors() -> None:
    """Log two tensors, by name."""
    given = {"left": x.to_numpy(), "right": images[:1].repeat(60, axis=0).astype("float32")}
    specs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype("float64"), (-1, 3), "left"),
        TensorSpec(np.dtype("float32"), (-1, 8, 8), "right"),
    ]
    model = Answers(lambda rows, _: rows["left"].sum(axis=1) + rows["right"].mean(axis=(1, 2)))
    log_python(model, {name: value[:3] for name, value in given.items()}, ModelSignature(Schema(specs)))


def hinted_texts() -> None:
    """Log a function with type hints: texts."""

    def lengths(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]

    log_python(lengths, ["one", "three"])


def hinted_dicts() -> None:
    """Log a function with type hints: dictionaries."""

    def totals(rows: list[dict[str, float]]) -> list[float]:
        return [sum(row.values()) for row in rows]

    log_python(totals, [{"a": 1.5, "b": 2.0}, {"a": 3.0, "b": 0.5}])


def hinted_classes() -> None:
    """Log a function with type hints: pydantic's models."""

    def rate(messages: list[Message]) -> list[dict[str, float]]:
        return [{message.role: message.score + len(message.content)} for message in messages]

    log_python(rate, [{"role": "user", "content": "hello", "score": 0.5}, {"role": "other", "content": "you"}])


def nested() -> None:
    """Log columns of lists and of objects."""
    person = Object([Property("name", DataType.string), Property("age", DataType.long, required=False)])
    rows = pd.DataFrame({
        "many": [[1.5, 2.0], [3.0]],
        "who": [{"name": "Ann", "age": 3}, {"name": "Bo", "age": 4}],
    })  # fmt: skip
    schema = Schema([ColSpec(Array(DataType.double), "many"), ColSpec(person, "who")])
    model = Answers(lambda given, _: [sum(row.many) + row.who["age"] for row in given.itertuples()])
    log_python(model, rows, ModelSignature(schema))


def params() -> None:
    """Log params, and several columns as the answer."""

    def scale(rows: Json, given: Json) -> pd.DataFrame:
        total = rows.sum(axis=1) * given.get("factor", 1.0)
        return pd.DataFrame({"prediction": total, "label": np.where(total > 0, "high", "low")})

    schema = ParamSchema([ParamSpec("factor", "double", 2.0)])
    signature = ModelSignature(infer_signature(x).inputs, params=schema)
    log_python(Answers(scale), (x[:3], {"factor": 3.0}), signature)


def labels() -> None:
    """Log labels that are words."""
    log(mlflow.sklearn, LogisticRegression().fit(x, words))


def probabilities() -> None:
    """Log probabilities, as the model's own method."""
    log(mlflow.sklearn, LogisticRegression().fit(x, words), pyfunc_predict_fn="predict_proba")


def several() -> None:
    """Log two outputs a row."""
    log(mlflow.sklearn, LinearRegression().fit(x, two))


def dictionaries() -> None:
    """Log a dictionary a row, with a value that is not a number."""
    log_python(Answers(lambda rows, _: [{"sum": float(a), "of": {"a": float("nan")}} for a in rows["a"]]), x[:3])


def series() -> None:
    """Log a Series with a name."""
    log_python(Answers(lambda rows, _: rows["a"].rename("total") + 1), x[:3], infer_signature(x))


def no_signature() -> None:
    """Log no signature, but an example."""
    with mlflow.start_run():
        mlflow.log_metric("score", 0.9)
        mlflow.sklearn.log_model(LinearRegression().fit(x, y), name="model", input_example=x[:4], signature=False)


def no_example() -> None:
    """Log a signature, but no example."""
    log(mlflow.sklearn, LinearRegression().fit(x, y), example=None, signed=x)


def neither() -> None:
    """Log neither signature nor example."""
    log(mlflow.sklearn, LinearRegression().fit(x, y), example=None)


def from_code() -> None:
    """Log a model from code."""
    Path("code_of_model.py").write_text(
        "import mlflow\n\n\nclass Sums(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input.sum(axis=1)\n\n\n"
        "mlflow.models.set_model(Sums())\n"
    )
    log_python("code_of_model.py", x[:3], infer_signature(x))


def autolog() -> None:
    """Log MLflow's autolog of a search, with child runs."""
    mlflow.sklearn.autolog(max_tuning_runs=2)
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(x, words)
    run = mlflow.last_active_run()
    mlflow.MlflowClient().log_metric(run.info.run_id, "score", 0.9)  # type: ignore[union-attr]


def nested_runs() -> None:
    """Log a search whose candidates are child runs, and the final model in the outer run."""
    with mlflow.start_run(run_name="search"):
        for alpha in (0.1, 1.0):
            with mlflow.start_run(nested=True):
                mlflow.log_metric("score", alpha)
        mlflow.log_metric("score", 0.9)
        mlflow.sklearn.log_model(
            LinearRegression().fit(x, y), name="model", input_example=x[:4], signature=infer_signature(x, y)
        )


def sparse() -> None:
    """Log an answer that is a sparse matrix."""
    given = pd.DataFrame({"text": ["a cat", "a dog", "no cat"]})
    encoder = OneHotEncoder(handle_unknown="ignore").fit(given)
    log_python(Answers(lambda rows, _: encoder.transform(rows)), given, infer_signature(given))


def transformed() -> None:
    """Log a transformer, which mlflow.pyfunc saves and refuses to load."""
    given = pd.DataFrame({"text": ["a cat", "a dog", "no cat"]})
    encoder = OneHotEncoder(handle_unknown="ignore").fit(given)
    options = {"pyfunc_predict_fn": "transform", "serialization_format": "cloudpickle"}
    log(mlflow.sklearn, encoder, example=given, signature=infer_signature(given), **options)


def odd_metrics() -> None:
    """Log metrics that are not finite, many metrics, long names."""
    with mlflow.start_run():
        mlflow.log_metrics({"score": float("nan"), "mae": float("inf"), "x_std": -1.0, "x": 2.0, "long" * 50: 0.5})
        mlflow.log_metrics({f"metric_{at}": at for at in range(900)})
        mlflow.sklearn.log_model(LinearRegression().fit(x, y), name="model", input_example=x[:4])
