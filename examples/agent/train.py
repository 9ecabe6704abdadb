"""Log an agent to MLflow, and how many questions it answers rightly. Nothing is trained. A plain script.

MLFLOW_TRACKING_URI says where to log, MLFLOW_EXPERIMENT_NAME under which experiment.
"""

import json
import tomllib
from importlib.metadata import version
from pathlib import Path

import mlflow
from agent import UNKNOWN, FakeLanguageModel

HERE = Path(__file__).parent
NAME = tomllib.loads((HERE / "model.toml").read_text(encoding="utf-8"))["name"]
LIBRARIES = ("mlflow-skinny", "numpy", "pandas", "pydantic")  # what the agent needs to answer
QUESTIONS = {  # and the key of the fact that answers each; "": none does
    "What are the opening hours?": "opening hours",
    "How many books may I borrow?": "borrow books",
    "Can I renew my loan?": "renew loan",
    "What is the fee for a late return?": "late return fee",
    "I have lost my card": "lost card",
    "Is there a room that we can reserve?": "reserve room",
    "Where can I print a copy?": "print copy",
    "Is there a password for the wifi?": "wifi password",
    "Why is grass green?": "",
}


def measure(facts: dict[str, str]) -> float:
    """Return the share of the questions that are answered by the right fact."""
    model = FakeLanguageModel(facts)
    right = [
        "".join(model.generate(question)) == (facts[key] if key else UNKNOWN) for question, key in QUESTIONS.items()
    ]
    return sum(right) / len(right)


def main() -> None:
    """Measure and log."""
    facts = json.loads((HERE / "facts.json").read_text(encoding="utf-8"))
    with mlflow.start_run():
        mlflow.log_params({"facts": len(facts), "language_model": FakeLanguageModel.__name__})
        mlflow.log_metric("right_answers", measure(facts))
        mlflow.pyfunc.log_model(
            name="model",
            python_model=HERE / "agent.py",
            artifacts={"facts": str(HERE / "facts.json")},
            input_example={"input": [{"role": "user", "content": next(iter(QUESTIONS))}]},
            pip_requirements=[f"{library}=={version(library)}" for library in LIBRARIES],
            registered_model_name=NAME,
        )


if __name__ == "__main__":
    main()
