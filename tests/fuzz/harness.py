"""The fuzzer: libFuzzer's loop around the targets, guided by the branches of scoring that an input reaches."""

from __future__ import annotations

import json
import random
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from tests.aliases import Json

with atheris.instrument_imports(include=["scoring"]):
    from tests.fuzz import seeds, targets


def main() -> None:
    """Write the seeds into the corpus and the words into a dictionary, then fuzz: FOLDER and libFuzzer's options."""
    folder = Path(sys.argv[1])
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.bodies()):
        (folder / "corpus" / f"seed-{number}").write_bytes(seed)
    words = "".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for word in seeds.WORDS)
    (folder / "words.dict").write_text(words)
    warnings.simplefilter("ignore")
    options = [f"-artifact_prefix={folder}/", f"-dict={folder / 'words.dict'}", *sys.argv[2:]]
    atheris.Setup([sys.argv[0], str(folder / "corpus"), *options], targets.run, custom_mutator=mutate)
    atheris.Fuzz()


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change bytes in libFuzzer's way, or a value of the JSON, which stays JSON then."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    start = data.find(b"{")
    try:
        tree, end = json.JSONDecoder().raw_decode(data[start:].decode("latin-1"))
    except (ValueError, RecursionError):
        tree, end = None, 0
    if tree is None or start < 1 or chance.random() < 0.2:
        return bytes(atheris.Mutate(data, len(data) + 64))[:max_size]
    changed = json.dumps(_change(tree, chance), ensure_ascii=False).encode("latin-1", "ignore")
    head = data[:start]
    if len(head) == 3 and head[1:] != b"\xff\xff":
        head = head[:1] + min(len(changed), 65534).to_bytes(2, "little")
    return (head + changed + data[start + end :])[:max_size]


def _change(tree: Json, chance: random.Random) -> Json:
    """Return JSON with one value, somewhere, another, gone or doubled."""
    if isinstance(tree, dict | list) and tree and chance.random() < 0.8:
        place = chance.choice(list(tree)) if isinstance(tree, dict) else chance.randrange(len(tree))
        way = chance.random()
        if way < 0.1:
            del tree[place]
        elif way < 0.2 and isinstance(tree, list):
            tree.append(tree[place])
        elif way < 0.2 and isinstance(tree, dict):
            tree[chance.choice(seeds.KEYS)] = tree.pop(place)
        else:
            tree[place] = _change(tree[place], chance)
        return tree
    return json.loads(chance.choice(seeds.WORDS))


if __name__ == "__main__":
    main()
