"""The images to learn from: scikit-learn's 1,797 handwritten digits, as PNG files that a person might have drawn."""

import io

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SCALE, LEVELS = 4, 16  # load_digits has 8x8 pixels from 0 (paper) to 16 (ink); an image is that much larger


def load_images() -> tuple[list[bytes], list[int]]:
    """Return the files, dark on light, and for each the digit on it."""
    digits = load_digits()
    return [_draw(image) for image in digits.images], digits.target.tolist()


def _draw(image: np.ndarray) -> bytes:
    ink = Image.fromarray((image * (255 / LEVELS)).astype(np.uint8))
    large = ink.resize((image.shape[1] * SCALE, image.shape[0] * SCALE), Image.Resampling.BICUBIC)
    paper = Image.new("L", (large.width + 4 * SCALE, large.height + 4 * SCALE), 0)
    paper.paste(large, (2 * SCALE, 2 * SCALE))
    file = io.BytesIO()
    paper.point(lambda shade: 255 - shade).save(file, "PNG")
    return file.getvalue()
