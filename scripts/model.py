"""Models: train, validate, compare, wrap, list, serve and test them."""

from slipway import errors

errors.catch_interrupts()

import click

from slipway import settings, verbs

ADDRESS = "models:/name/3, models:/name@alias, models:/m-…, runs:/…/model, or a path"
cli = click.Group(help=__doc__, no_args_is_help=False)


@cli.command()
@click.option("--name", envvar="NAME", default="", help="the model's name and its folder's in examples/, or a path")
@click.option("--kind", envvar="KIND", default="", help="classifier, regressor, text, image or custom")
@click.option("--from", "source", envvar="FROM", default="", help="the model folder to copy, instead of a kind")
def new(name: str, kind: str, source: str) -> None:
    """Make a model folder that trains at once, on made-up data to replace."""
    from slipway.training import new_model

    new_model.make(name, kind, source)


@cli.command()
@click.option("--library", envvar="LIBRARY", default="", help="one or several, such as lightgbm==4.6 shap")
@click.option("--group", envvar="GROUP", default="model", help="model, or training for what only scripts import")
def add(library: str, group: str) -> None:
    """Add libraries to what MODEL_DIR's model uses, lock and export; a folder beside model/ gets a lock of its own."""
    from slipway import model_folder
    from slipway.bootstrap import lockfile
    from slipway.runtimes import declared

    folder = model_folder.load(settings.load().model_dir)
    lockfile.add(folder.path, library.split(), group, declared.list_libraries(folder))


@cli.command()
def env() -> None:
    """Print the variables that have a notebook, or any script, log to the experiment of MODEL_DIR's model."""
    from slipway.training import experiments

    experiments.print_variables(settings.load())


@cli.command()
@click.option(
    "--kept", envvar="KEPT", default="", help="log this file, kept by an earlier training, instead of training"
)
def train(kept: str) -> None:
    """Train the model in MODEL_DIR with TRAIN_ARGS, log it to MLflow and register it."""
    from slipway.training.train import train

    train(settings.load(), kept)


@cli.command()
@click.option("--trials", envvar="TRIALS", type=click.IntRange(1, 100_000), default=50, help="in all; default: 50")
@click.option("--workers", envvar="WORKERS", type=click.IntRange(1, 1000), default=1, help="at a time; default: 1")
def tune(trials: int, workers: int) -> None:
    """Search for the best arguments of MODEL_DIR's script, by model.toml's [tune]; train and register the best.

    With CONTEXT, trials are Jobs of that cluster.
    """
    loaded = settings.load()
    if loaded.cluster.context:
        from slipway.kubernetes.tuning.search import tune
    else:
        from slipway.training.tuning.search import tune
    tune(loaded, trials, workers)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help=ADDRESS)
def validate(model: str) -> None:
    """Score a model on the held-out rows of MODEL_DIR's train.py, and log the scores to the model's own run."""
    from slipway.training.validate import validate

    validate(settings.load(), model)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help="the version to compare; default: the newest")
@click.option(
    "--models",
    envvar="MODELS",
    default="",
    help="versions to compare instead: numbers, or addresses such as models:/name@alias",
)
def compare(model: str, models: str) -> None:
    """Compare a model version with the champion, or any set of versions, as tables and a picture."""
    from slipway.training.compare import compare

    compare(settings.load(), model, models)


@cli.command()
@click.option(
    "--file", envvar="FILE", default="", help="a .joblib, .pkl, .pickle or .skops file, or a .py file with a class"
)
@click.option(
    "--example",
    envvar="EXAMPLE",
    default="",
    help="rows to try: a CSV with a header, or a request; default: request.json",
)
@click.option("--class", "name", envvar="CLASS", default="", help="the class, in a file with several")
@click.option("--trust", envvar="TRUST", default="", help="types in a skops file that you trust, separated by spaces")
def wrap(file: str, example: str, name: str, trust: str) -> None:
    """Register FILE, an estimator or a class that predicts, as a version of MODEL_DIR's model, without training."""
    from slipway.training.wrap import wrap

    options = {"example": example, "class": name, "trust": trust}
    wrap(settings.load(), file, {name: value for name, value in options.items() if value.strip()})


@cli.command("list")
@click.option("--format", "form", envvar="FORMAT", default="table", help="table (default) or json")
def list_versions(form: str) -> None:
    """List the registry's model versions, newest first, with the MODEL= to type for each."""
    from slipway.registry import listing

    listing.show(settings.load(), form)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help=ADDRESS)
@click.option("--follow", envvar="FOLLOW", default="", help="1: follow the alias of models:/name@alias")
def serve(model: str, follow: str) -> None:
    """Serve a model on 127.0.0.1:PORT until Ctrl-C.

    When following an alias, switch to each new version that passes its smoke test.
    """
    if follow in {"", "0"}:
        from slipway.serving.server import serve
    else:
        from slipway.serving.follow import serve
    serve(settings.load(), model)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help=ADDRESS)
@click.option("--file", envvar="FILE", default="", help="rows: a .csv with a header, .parquet, or .json, a request")
@click.option("--out", envvar="OUT", default="", help=".csv, .parquet or .json to write; default: print the first rows")
@click.option("--params", envvar="PARAMS", default="", help="the model's params, a JSON object")
def predict(model: str, file: str, out: str, params: str) -> None:
    """Predict the rows of FILE without a server; OUT has all their columns, and the predictions after them."""
    from slipway.serving.predict import predict

    predict(settings.load(), model, file, out, params)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help=ADDRESS)
@click.option("--data", envvar="DATA", default="", help="a .csv or .parquet file, a folder, s3://…, pvc://…")
@click.option("--out", envvar="OUT", default="", help="the folder to write to, s3://…, or pvc://…")
@click.option("--keys", envvar="KEYS", default="", help="columns to keep, or *: all; default: what is no input")
@click.option("--format", "form", envvar="FORMAT", default="", help="csv or parquet; default: as each input file")
@click.option("--params", envvar="PARAMS", default="", help="the model's params, a JSON object")
def score(model: str, data: str, out: str, keys: str, form: str, params: str) -> None:  # noqa: PLR0913, PLR0917 -- its options
    """Score files of any size with WORKERS processes, or Jobs of the cluster of CONTEXT, into OUT.

    The same command goes on where one was stopped.
    """
    from slipway.kubernetes import batch_jobs
    from slipway.serving import batch

    loaded, options = settings.load(), {"KEYS": keys, "FORMAT": form, "PARAMS": params}
    (batch_jobs if loaded.cluster.context else batch).score(loaded, model, data, out, options)


@cli.command()
@click.option(
    "--model",
    envvar="MODEL",
    default="",
    help="the model that it should serve; default: the one that make serve_model serves on PORT",
)
def test(model: str) -> None:
    """Test the API of a served model: its predictions, and its answers to bad input."""
    from slipway.serving import api_test

    api_test.check(settings.load(), model)


@cli.command("load-test")
@click.option("--users", envvar="USERS", type=int, default=50, help="callers at a time")
@click.option("--minutes", envvar="MINUTES", type=float, default=1.0, help="how long")
@click.option("--rate", envvar="RATE", type=float, default=0.0, help="requests/s; default: callers wait for answers")
@click.option("--stages", envvar="STAGES", default="", help="instead: callers and times, such as 10x30s,50x1m")
@click.option("--p99_ms", envvar="P99_MS", type=float, help="the highest p99 that passes, in ms")
@click.option("--failures", envvar="FAILURES", type=float, help="the highest share of failed requests that passes")
def load_test(  # noqa: PLR0913, PLR0917 -- its options
    users: int, minutes: float, rate: float, stages: str, p99_ms: float | None, failures: float | None
) -> None:
    """Put load on a served model with Locust; exit code 1 when a bound is broken."""
    from slipway.serving.load import load_test

    load_test.run(settings.load(), load_test.Wanted(users, minutes, rate, stages, p99_ms, failures))


if __name__ == "__main__":
    verbs.run(cli)
