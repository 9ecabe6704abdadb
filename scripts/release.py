"""Releases: which version is the champion, and the service that deploys it."""

from slipway import errors

errors.catch_interrupts()

import click

from slipway import settings, verbs

cli = click.Group(help=__doc__, no_args_is_help=False)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the newest")
@click.option(
    "--force", envvar="FORCE", default="", help="1: promote it against the gate's verdict, which is still recorded"
)
@click.option("--why", envvar="WHY", default="", help="the reason for that")
def promote(model: str, force: str, why: str) -> None:
    """Promote a version: gate, smoke test of the real image, then the alias @champion moves to it."""
    from slipway.release.promote import promote

    promote(settings.load(), model, force=force not in {"", "0"}, why=why)


@cli.command()
@click.option(
    "--to",
    envvar="TO",
    default="",
    help="the number of the version to go back to; default: the previous champion",
)
@click.option(
    "--target",
    envvar="TARGET",
    type=click.Choice(["local", "kubernetes"]),
    default="local",
    show_envvar=True,
    help="kubernetes: also roll back the cluster of CONTEXT",
)
def rollback(to: str, target: str) -> None:
    """Move @champion back to the previous champion, after a smoke test."""
    if target == "kubernetes":
        from slipway.kubernetes.commands import roll_back
    else:
        from slipway.release.promote import roll_back
    roll_back(settings.load(), to)


@cli.command()
@click.option("--format", "form", envvar="FORMAT", default="", help="table (default) or json")
def history(form: str) -> None:
    """List a model's promotions and rollbacks, newest first."""
    from slipway.release import history

    history.show(settings.load(), form)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the champion")
@click.option("--days", envvar="DAYS", type=click.IntRange(1, 3660), default=7, help="days of the prediction log")
@click.option("--until", envvar="UNTIL", default="", help="the last day, such as 2026-11-30; default: today")
@click.option("--strict", envvar="STRICT", default="", help="1: exit code 1 when a column drifted on the latest day")
def monitor(model: str, days: int, until: str, strict: str) -> None:
    """Compare what a version is asked and answers with its training: drift by column, a report and a run."""
    from slipway.monitoring.monitor import monitor

    monitor(settings.load(), model, days=days, until=until, strict=strict not in {"", "0"})


@cli.command("add-truth")
@click.option("--file", envvar="FILE", default="", help="a .csv or .parquet with id, truth and perhaps row")
def add_truth(file: str) -> None:
    """Add what came true of logged predictions of MODEL_DIR's model, by request id and row."""
    from slipway.monitoring import truth

    truth.add(settings.load(), file)


@cli.command("start-deployer")
def start_deployer() -> None:
    """Start the deployer, which deploys versions on request and whenever @champion moves."""
    from slipway.deployer import start

    start.start(settings.load())


@cli.command("stop-deployer")
def stop_deployer() -> None:
    """Stop the deployer and the server that it started."""
    from slipway.deployer import start

    start.stop(settings.load())


if __name__ == "__main__":
    verbs.run(cli)
