"""Train a small network on the images of images.py, and log it to MLflow with its learning curve. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import argparse
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
from classifier import decode, normalize, predict_probabilities
from images import load_images
from matplotlib.figure import Figure
from PIL import Image, ImageFilter
from sklearn.metrics import ConfusionMatrixDisplay, accuracy_score, auc, log_loss, roc_curve
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
NAME = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas", "pillow")  # what the model needs to predict
SEED = 42


def load_data() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and the rows held out: `input`, an image file, and `target`, its label."""
    files, labels = load_images()
    rows = pd.DataFrame({"input": files, "target": labels})
    train, held_out = train_test_split(rows, test_size=0.2, random_state=SEED, stratify=rows["target"])
    return train, held_out


def vary(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return an image as another hand would have drawn it: another slant, width and pen."""
    slant, turn, width = random.uniform(-0.25, 0.25), random.uniform(-12, 12), random.uniform(0.8, 1.25)
    middle = image.height / 2
    shape = (width, slant, middle * (1 - width) - middle * slant, 0, 1, 0)
    image = image.transform(image.size, Image.Transform.AFFINE, shape, Image.Resampling.BILINEAR, fillcolor=255)
    image = image.rotate(turn, Image.Resampling.BILINEAR, fillcolor=255)
    pen = random.choice([ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3), None])
    return image.filter(pen) if pen else image


def fit(train: pd.DataFrame, held_out: pd.DataFrame, hidden: int, epochs: int, copies: int) -> dict[str, np.ndarray]:
    """Train epoch after epoch, log both losses of each, and return the weights."""
    random = np.random.default_rng(SEED)
    drawn = [decode(file) for file in train["input"]]
    images = np.array([normalize(image) for image in drawn])
    varied = [np.array([normalize(vary(image, random)) for image in drawn]) for _ in range(copies)]
    x, y = np.concatenate([images, *varied]), np.tile(train["target"].to_numpy(), copies + 1)
    test = np.array([normalize(decode(file)) for file in held_out["input"]])
    network = MLPClassifier((hidden,), alpha=1e-3, learning_rate_init=3e-3, random_state=SEED)
    weights: dict[str, np.ndarray] = {}
    for epoch in range(epochs):
        order = random.permutation(len(x))
        network.partial_fit(x[order], y[order], classes=np.unique(y))
        weights = dict(zip(("w1", "w2", "b1", "b2"), [*network.coefs_, *network.intercepts_], strict=True))
        if len(network.classes_) == 2:  # noqa: PLR2004 -- of two, scikit-learn has weights for the second alone
            weights |= {"w2": np.pad(weights["w2"], ((0, 0), (1, 0))), "b2": np.pad(weights["b2"], (1, 0))}
        losses = {
            "loss": log_loss(train["target"], predict_probabilities(weights, images)),
            "held_out_loss": log_loss(held_out["target"], predict_probabilities(weights, test)),
        }
        mlflow.log_metrics(losses, step=epoch)
    return weights | {"labels": network.classes_}


def draw(true: np.ndarray, probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Figure]:
    """Draw a ROC curve for each label, and which labels are taken for which."""
    mpl.use("agg")
    roc, confusion = (Figure(figsize=(6, 5), layout="constrained") for _ in range(2))
    axes = roc.subplots()
    for label, column in zip(labels, probabilities.T, strict=True):
        wrong, right, _ = roc_curve(true == label, column)
        axes.plot(wrong, right, label=f"{label}: AUC {auc(wrong, right):.4f}")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", title="Held-out images, each label by itself")
    axes.legend(loc="lower right")
    found = labels[probabilities.argmax(axis=1)]
    ConfusionMatrixDisplay.from_predictions(true, found, ax=confusion.subplots(), colorbar=False)
    return {"roc": roc, "confusion": confusion}


def main() -> None:
    """Train, score the held-out images, log."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=64, help="units of the hidden layer")
    parser.add_argument("--epochs", type=int, default=20, help="how often the training sees all images")
    parser.add_argument("--copies", type=int, default=3, help="variations of each image to train on")
    args = parser.parse_args()

    train, held_out = load_data()
    with mlflow.start_run(), tempfile.TemporaryDirectory() as scratch:
        mlflow.log_params(vars(args))
        mlflow.log_input(mlflow.data.from_pandas(train, targets="target", name=NAME), "training")
        weights = fit(train, held_out, args.hidden, args.epochs, args.copies)
        images = np.array([normalize(decode(file)) for file in held_out["input"]])
        probabilities, labels = predict_probabilities(weights, images), weights["labels"]
        found = labels[probabilities.argmax(axis=1)]
        mlflow.log_metric("validation_accuracy", accuracy_score(held_out["target"], found))
        for name, figure in draw(held_out["target"].to_numpy(), probabilities, labels).items():
            mlflow.log_figure(figure, f"{name}.png")
        np.savez(Path(scratch, "weights.npz"), **weights)
        example = held_out.drop_duplicates("target").head(3)
        mlflow.pyfunc.log_model(
            name="model",
            python_model=HERE / "classifier.py",
            artifacts={"weights": str(Path(scratch, "weights.npz"))},
            signature=mlflow.models.infer_signature(example[["input"]], labels[:3], params={"probabilities": False}),
            input_example=example[["input"]],
            pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
            registered_model_name=NAME,
        )


if __name__ == "__main__":
    main()
