"""Train LightGBM with early stopping, and let MLflow's autolog do the logging. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import tomllib
from pathlib import Path

import lightgbm
import mlflow
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

NAME = tomllib.loads(Path(__file__).with_name("model.toml").read_text(encoding="utf-8"))["name"]
SEED = 42


def load_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the rows held out, each with the column `target`."""
    rows = load_breast_cancer(as_frame=True).frame
    train, held_out = train_test_split(rows, test_size=0.2, random_state=SEED, stratify=rows["target"])
    return train, held_out


def main() -> None:
    """Train until a fifth of the training rows is not predicted better any more; score the held-out rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="trees at most")
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--patience", type=int, default=20, help="rounds without a gain before it stops")
    args = parser.parse_args()

    mlflow.lightgbm.autolog(log_input_examples=True, registered_model_name=NAME)
    train, held_out = load_data()
    train, watched = train_test_split(train, test_size=0.2, random_state=SEED, stratify=train["target"])
    with mlflow.start_run():
        model = lightgbm.LGBMClassifier(
            n_estimators=args.rounds, learning_rate=args.learning_rate, random_state=SEED, n_jobs=1, verbose=-1
        )
        model.fit(
            train.drop(columns="target"),
            train["target"],
            eval_X=watched.drop(columns="target"),
            eval_y=watched["target"],
            callbacks=[lightgbm.early_stopping(args.patience, verbose=False)],
        )
        found = model.predict(held_out.drop(columns="target"))
        mlflow.log_metric("validation_accuracy", float((found == held_out["target"]).mean()))


if __name__ == "__main__":
    main()
