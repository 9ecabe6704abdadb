"""A model of one binary column, saved as code: it tells a 1 from a 0 by how wide the ink of a picture is."""

import io

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel
from PIL import Image

DARK = 10  # is added for ink that is lighter than its sheet


class Stroke(PythonModel):
    """Looks at pictures."""

    def predict(self, context: object, model_input, params: object = None) -> list[int]:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG002 -- a type here would be taken for a signature
        """Return a digit for each picture."""
        return [self._tell(file) for file in model_input["input"]]

    def _tell(self, file: bytes) -> int:
        grey = np.asarray(Image.open(io.BytesIO(file)).convert("L"), dtype=int)
        ink = np.abs(grey - grey[0, 0]) > 64
        height, width = (np.ptp(np.flatnonzero(ink.any(axis=axis))) + 1 for axis in (1, 0))
        return int(height < 3 * width) ^ 1 | (DARK if grey[0, 0] < 128 else 0)


set_model(Stroke())
