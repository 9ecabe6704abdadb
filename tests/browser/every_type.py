"""A model with a column of every type, saved as code: it answers the values that it got, and their types."""

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Echo(PythonModel):
    """Gives back what it is given."""

    def predict(self, context: object, model_input, params: object = None) -> pd.DataFrame:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG002 -- a type here would be taken for a signature
        """Return every value as text, and the types."""
        told = {f"got {name}": [repr(value) for value in model_input[name].tolist()] for name in model_input}
        return pd.DataFrame({**told, "types": [" ".join(map(str, model_input.dtypes))] * len(model_input)})


set_model(Echo())
