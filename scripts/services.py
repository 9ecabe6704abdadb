"""Images, MLflow and Postgres on this machine."""

from slipway import errors

errors.catch_interrupts()

import click

from slipway import hints, settings, verbs

cli = click.Group(help=__doc__, no_args_is_help=False)


@cli.command("build-base")
@click.argument("goals", nargs=-1)
def build_base(goals: tuple[str, ...]) -> None:
    """Build layer 1 if it is missing: OS, Python, compilers.

    GOALS are the Make targets that were requested; this may be a prerequisite of them.
    """
    from slipway.runtimes import images

    images.build_base(settings.load())
    if goals == ("build_base_container",):
        hints.say_next("make build_model_container")


@cli.command("build-model")
def build_model() -> None:
    """Build layer 2 if it is missing: the image that serves the model in MODEL_DIR, and the one that trains it."""
    from slipway import model_folder
    from slipway.runtimes import images, locks

    loaded = settings.load()
    model = model_folder.load(loaded.model_dir)
    images.build_model(loaded, model, locks.of_folder(loaded, model))
    hints.say_next("make start_mlflow_services")


@cli.command("build-served")
@click.option("--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the newest")
def build_served(model: str) -> None:
    """Build layer 3 if it is missing: the image that serves a version, by its own lock."""
    from slipway.serving import server

    print(f"ready {server.build(settings.load(), model)}")


@cli.command()
def start() -> None:
    """Start MLflow and Postgres, and wait until the API answers under every name that clients use."""
    from slipway.services import mlflow

    mlflow.start(settings.load())


@cli.command("start-monitoring")
def start_monitoring() -> None:
    """Start Prometheus, Alertmanager and Grafana, which find what is served on this machine."""
    from slipway.services import monitoring

    monitoring.start(settings.load())


@cli.command("stop-monitoring")
def stop_monitoring() -> None:
    """Stop Prometheus, Alertmanager and Grafana; their data stays."""
    from slipway.services import monitoring

    monitoring.stop(settings.load())


@cli.command()
def stop() -> None:
    """Stop MLflow and Postgres; their data stays."""
    from slipway.services import mlflow

    mlflow.stop(settings.load())


@cli.command()
def logs() -> None:
    """Follow the logs of MLflow and Postgres until Ctrl-C."""
    from slipway.services import mlflow

    mlflow.follow_logs(settings.load())


@cli.command()
def ui() -> None:
    """Print where MLflow's UI is; with RUNTIME=host, serve it from the embedded store until Ctrl-C."""
    from slipway.services import mlflow

    mlflow.show_ui(settings.load())


@cli.command()
def backup() -> None:
    """Write one dated archive of database and artifacts to BACKUP_DIR; a tracking server is stopped meanwhile."""
    from slipway.services.backup import backup

    backup(settings.load())


@cli.command()
@click.option("--backup", "archive", envvar="BACKUP", default="", help="such as backups/slipway-20260131-235959.tar.gz")
def restore(archive: str) -> None:
    """Verify an archive of make backup, restore it into empty services, and start them (RUNTIME=host: a store)."""
    from slipway.services.restore import restore

    restore(settings.load(), archive)


@cli.command("reset-password")
def reset_password() -> None:
    """Reset Postgres's password to the one in .slipway/postgres_password."""
    from slipway.services import mlflow

    mlflow.reset_password(settings.load())


if __name__ == "__main__":
    verbs.run(cli)
