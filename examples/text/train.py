"""Learn to sort the lines of data.csv by their words, and log that to MLflow. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import tomllib
from importlib.metadata import version
from pathlib import Path

import mlflow
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline

HERE = Path(__file__).parent
NAME = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "skops")  # what the model needs to predict
COLUMN, SEED = "message", 42


def load_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the rows held out: `message` and `target`, the sort of message."""
    rows = pd.read_csv(HERE / "data.csv").rename(columns={"label": "target"})
    train, held_out = train_test_split(rows, test_size=0.25, random_state=SEED, stratify=rows["target"])
    return train, held_out


def fit(rows: pd.DataFrame, strength: float, words: int) -> Pipeline:
    """Fit on how often each word, or run of words, occurs, against how common it is."""
    vectors = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, words))
    classifier = LogisticRegression(C=strength, max_iter=1000)
    return make_pipeline(make_column_transformer((vectors, COLUMN)), classifier).fit(rows[[COLUMN]], rows["target"])


def main() -> None:
    """Train, score the held-out lines, log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strength", type=float, default=10.0, help="how closely it follows the lines")
    parser.add_argument("--words", type=int, default=2, help="words in a row that count together")
    args = parser.parse_args()

    train, held_out = load_data()
    with mlflow.start_run():
        mlflow.log_params(vars(args))
        mlflow.log_input(mlflow.data.from_pandas(train, targets="target", name=NAME), "training")
        pipeline = fit(train, args.strength, args.words)
        mlflow.log_metric("validation_accuracy", pipeline.score(held_out[[COLUMN]], held_out["target"]))
        example = held_out.drop_duplicates("target")
        mlflow.log_text(example.to_csv(index=False), "sample.csv")
        mlflow.sklearn.log_model(
            pipeline,
            name="model",
            signature=mlflow.models.infer_signature(example[[COLUMN]], pipeline.predict(example[[COLUMN]])),
            input_example=example[[COLUMN]],
            pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
            registered_model_name=NAME,
        )


if __name__ == "__main__":
    main()
