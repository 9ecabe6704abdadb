"""Training scripts of models of other libraries, one function each; kinds.py lies beside a copy."""

import os
from importlib import import_module

import mlflow
from kinds import log, words, x, y  # type: ignore[import-not-found]
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression, LogisticRegression


def xgboost() -> None:
    """Log a classifier of XGBoost's."""
    model = import_module("xgboost").XGBClassifier(n_estimators=5).fit(x, y > 0)
    log(mlflow.xgboost, model)


def xgboost_booster() -> None:
    """Log XGBoost's native booster."""
    library = import_module("xgboost")
    data = library.DMatrix(x, y > 0)
    model = library.train({"objective": "binary:logistic"}, data, 5)
    log(mlflow.xgboost, model, signature=infer_signature(x, model.predict(data)))


def lightgbm() -> None:
    """Log a classifier of LightGBM's, with words as labels."""
    model = import_module("lightgbm").LGBMClassifier(n_estimators=5, verbose=-1).fit(x, words)
    log(mlflow.lightgbm, model)


def lightgbm_booster() -> None:
    """Log LightGBM's native booster."""
    library = import_module("lightgbm")
    log(mlflow.lightgbm, library.train({"verbose": -1}, library.Dataset(x, y), 5))


def catboost() -> None:
    """Log a classifier of CatBoost's, with a text column of categories."""
    x["kind"] = ["red", "blue", "red"] * 20
    library = import_module("catboost")
    options = {"iterations": 5, "verbose": False, "allow_writing_files": False, "cat_features": ["kind"]}
    log(mlflow.catboost, library.CatBoostClassifier(**options).fit(x, words), example=x[:4])


def onnx() -> None:
    """Log a graph with one matrix as its input."""
    data = x.to_numpy(dtype="float32")
    graph = import_module("skl2onnx").to_onnx(LinearRegression().fit(data, y), data[:1])
    log(mlflow.onnx, graph, example=data[:4], signature=infer_signature(data, {"variable": data[:, :1]}))


def onnx_classifier() -> None:
    """Log a graph with two outputs: labels, and probabilities."""
    data = x.to_numpy(dtype="float32")
    model = LogisticRegression().fit(data, y > 0)
    graph = import_module("skl2onnx").to_onnx(model, data[:1], options={id(model): {"zipmap": False}})
    log(mlflow.onnx, graph, example=data[:4], signature=infer_signature(data))


def statsmodels() -> None:
    """Log ordinary least squares."""
    log(mlflow.statsmodels, import_module("statsmodels.api").OLS(y, x).fit())


def torch() -> None:
    """Log a network of PyTorch's, with a matrix as its input."""
    library = import_module("torch")
    model, data = library.nn.Linear(3, 2), x.to_numpy(dtype="float32")
    outputs = model(library.from_numpy(data)).detach().numpy()
    log(
        mlflow.pytorch, model, example=data[:4], signature=infer_signature(data, outputs), serialization_format="pickle"
    )


def torch_exported() -> None:
    """Log what torch.export makes of a network."""
    library = import_module("torch")
    model, data = library.nn.Linear(3, 2), x.to_numpy(dtype="float32")
    outputs = model(library.from_numpy(data)).detach().numpy()
    log(mlflow.pytorch, model, example=data[:4], signature=infer_signature(data, outputs), serialization_format="pt2")


def keras() -> None:
    """Log a network of Keras, which computes with JAX; without an example, which MLflow 3.17 fails to save."""
    os.environ["KERAS_BACKEND"] = "jax"
    library = import_module("keras")
    model, data = library.Sequential([library.Input([3]), library.layers.Dense(2)]), x.to_numpy(dtype="float32")
    log(mlflow.keras, model, example=None, signature=infer_signature(data, model.predict(data)))
