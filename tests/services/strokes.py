"""Digits as a person draws them on a canvas: strokes of a thick, round pen."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 280  # pixels of the canvas
STROKES: dict[int, list[Sequence[tuple[int, int]]]] = {
    0: [[(140, 50), (95, 70), (80, 140), (95, 210), (140, 230), (185, 210), (200, 140), (185, 70), (140, 50)]],
    1: [[(140, 50), (140, 230)]],
    2: [[(90, 90), (105, 60), (145, 50), (185, 70), (185, 110), (140, 160), (85, 228), (200, 228)]],
    3: [[(90, 65), (140, 50), (185, 75), (180, 115), (135, 135), (185, 160), (190, 205), (140, 230), (88, 215)]],
    4: [[(110, 50), (80, 165), (205, 165)], [(165, 100), (165, 230)]],
    5: [[(190, 52), (100, 52), (95, 130), (145, 118), (190, 145), (192, 195), (145, 230), (90, 215)]],
    6: [[(175, 55), (120, 95), (92, 160), (100, 210), (140, 230), (182, 210), (185, 170), (145, 145), (100, 165)]],
    7: [[(85, 52), (200, 52), (160, 130), (125, 230)]],
    8: [
        [(140, 138), (95, 105), (105, 62), (140, 50), (178, 62), (186, 105), (140, 138)],
        [(140, 138), (90, 175), (95, 215), (140, 232), (188, 215), (190, 175), (140, 138)],
    ],
    9: [[(185, 100), (160, 60), (120, 55), (92, 90), (105, 130), (150, 135), (185, 100), (180, 160), (165, 230)]],
}


def draw(digit: int, *, pen: int = 20, paper: str = "white", ink: str = "black", form: str = "PNG") -> bytes:
    """Return an image file of a digit, drawn with a pen of that width in pixels."""
    image = Image.new("RGB" if form == "JPEG" else "RGBA", (SIDE, SIDE), paper)
    brush = ImageDraw.Draw(image)
    for stroke in STROKES[digit]:
        brush.line(stroke, fill=ink, width=pen, joint="curve")
        for x, y in stroke:
            brush.ellipse([x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2], fill=ink)
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()
