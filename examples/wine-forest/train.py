"""Train a random forest on data.csv, whose last column is what to predict, and log it to MLflow. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import tomllib
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

HERE = Path(__file__).parent
SETTINGS = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))
NAME, METRIC = SETTINGS["name"], SETTINGS["metric"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "skops")  # what the model needs to predict
HELD_OUT, SEED = 0.25, 42


def load_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the rows held out, each with the column `target`."""
    rows = pd.read_csv(HERE / "data.csv")
    rows = rows.rename(columns={rows.columns[-1]: "target"})
    train, held_out = train_test_split(rows, test_size=HELD_OUT, random_state=SEED)
    return train, held_out


def fit(rows: pd.DataFrame, trees: int, depth: int) -> Pipeline:
    """Fit a forest on all columns; words become a column of 0 and 1 for each word, unknown ones 0 everywhere."""
    features = rows.drop(columns="target")
    words = features.select_dtypes(exclude="number").columns.tolist()
    encoder = (OneHotEncoder(handle_unknown="ignore"), words)
    columns = make_column_transformer(encoder, remainder="passthrough", verbose_feature_names_out=False)
    forest = RandomForestClassifier(trees, max_depth=depth, random_state=SEED, n_jobs=1)
    return make_pipeline(columns, forest).fit(features, rows["target"])


def draw(pipeline: Pipeline) -> Figure:
    """Draw how much each column matters to the forest."""
    mpl.use("agg")
    weights = pd.Series(pipeline[-1].feature_importances_, pipeline[0].get_feature_names_out()).sort_values()
    figure = Figure(figsize=(6, 1 + len(weights) / 4), layout="constrained")
    figure.subplots().barh(weights.index, weights)
    figure.suptitle("Importance of the columns")
    return figure


def main() -> None:
    """Train, score the held-out rows, log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--depth", type=int, default=8, help="how deep a tree may grow")
    args = parser.parse_args()

    train, held_out = load_data()
    with mlflow.start_run():
        mlflow.log_params(vars(args))
        mlflow.log_input(mlflow.data.from_pandas(train, targets="target", name=NAME), "training")
        pipeline = fit(train, args.trees, args.depth)
        features, target = held_out.drop(columns="target"), held_out["target"]
        mlflow.log_metric(METRIC, pipeline.score(features, target))
        mlflow.log_figure(draw(pipeline), "importance.png")
        mlflow.log_text(held_out.head().to_csv(index=False), "sample.csv")
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=mlflow.models.infer_signature(features, pipeline.predict(features)),
            input_example=features.head(),
            pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
            registered_model_name=NAME,
        )


if __name__ == "__main__":
    main()
