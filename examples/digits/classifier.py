"""The model, as code: an image file in, its label out. What it has learnt is the artifact `weights`, a .npz file."""

import io
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from PIL import Image, UnidentifiedImageError

SIDE = 8  # pixels that the network sees of an image, each way, from 0 (paper) to 1 (ink)
MAX_PIXELS = 16_000_000
OPAQUE, FAINT = 128, 24  # of 255: what counts as drawn, and the contrast below which an image is blank
PEN = 0.4  # of the darkest ink: what counts as a stroke when the image is cropped


def decode(file: bytes) -> Image.Image:
    """Read an image file of any size and colours as shades of grey; what is transparent is paper."""
    try:
        image = Image.open(io.BytesIO(file))
        if image.width * image.height > MAX_PIXELS:
            raise _bad(f"the image has more than {MAX_PIXELS} pixels")
        image = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise _bad(f"input is not an image file that Pillow reads: {type(error).__name__}") from None
    alpha, grey = np.asarray(image.getchannel("A")), np.asarray(image.convert("L"))
    drawn = grey[alpha >= OPAQUE]
    paper = 255 if drawn.size and drawn.mean() < OPAQUE else 0  # under light strokes it is dark
    return Image.fromarray(np.where(alpha >= OPAQUE, grey, paper).astype(np.uint8))


def normalize(image: Image.Image) -> np.ndarray:
    """Crop what is drawn, centre it in a square and scale it to 64 values, dark on light or light on dark."""
    grey = np.asarray(image, dtype=float)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    if ink.max() < FAINT:
        raise _bad("the image is blank")
    ink /= ink.max()
    rows, columns = (np.flatnonzero((ink > PEN).any(axis=axis)) for axis in (1, 0))
    drawn = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(drawn.shape)
    square = np.zeros((side, side), dtype=np.float32)
    top, left = ((side - length) // 2 for length in drawn.shape)
    square[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    small = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small).ravel()


def predict_probabilities(weights: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Return the probability of each label for n images, (n, 64): two layers, ReLU and softmax."""
    hidden = np.maximum(images @ weights["w1"] + weights["b1"], 0)
    scores = hidden @ weights["w2"] + weights["b2"]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class ImageClassifier(PythonModel):
    """Answers the label, or with the param `probabilities` a column for each label."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights."""
        with np.load(context.artifacts["weights"], allow_pickle=False) as file:
            self.weights = dict(file)

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> np.ndarray | pd.DataFrame:
        """Return a label for each row, or the probability of each."""
        images = np.array([normalize(decode(file)) for file in model_input["input"]]).reshape(-1, SIDE * SIDE)
        found = predict_probabilities(self.weights, images)
        if (params or {}).get("probabilities"):
            return pd.DataFrame(found, columns=[str(label) for label in self.weights["labels"]])
        return self.weights["labels"][found.argmax(axis=1)]


def _bad(words: str) -> MlflowException:
    return MlflowException(words, error_code=INVALID_PARAMETER_VALUE)


mlflow.models.set_model(ImageClassifier())
