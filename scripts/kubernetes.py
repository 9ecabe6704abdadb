"""The cluster of CONTEXT, or minikube: models, MLflow, the deployer, training jobs, and a registry of images."""

from slipway import errors

errors.catch_interrupts()

import click

from slipway import hints, settings, verbs

cli = click.Group(help=__doc__, no_args_is_help=False)
deployed = click.option(
    "--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the champion"
)


@cli.command("deploy-minikube")
@deployed
def deploy_minikube(model: str) -> None:
    """Deploy a model version to minikube (started if it does not run), test its API there, and print its address."""
    from slipway.kubernetes import minikube

    minikube.deploy(settings.load(), model)


@cli.command("undeploy-minikube")
def undeploy_minikube() -> None:
    """Remove what was deployed of the model, and nothing else, from minikube, or from the cluster of CONTEXT."""
    from slipway.kubernetes import commands, minikube

    commands.undeploy(minikube.adapt(settings.load()))


@cli.command()
@deployed
def deploy(model: str) -> None:
    """Deploy a model version to the cluster of CONTEXT, wait until it answers, and test its API there.

    Back by itself when it fails.
    """
    from slipway.kubernetes import commands

    loaded = settings.load()
    commands.deploy(loaded, model)
    hints.say_next(f"make deploy_status CONTEXT={loaded.cluster.context}")


@cli.command()
@click.option(
    "--model", envvar="MODEL", default="", help="the version, such as models:/name/4; default: the challenger that runs"
)
@click.option("--weight", envvar="WEIGHT", default="", help="how many of 100 requests it gets; 0 ends it")
def canary(model: str, weight: str) -> None:
    """Give a challenger a share of the requests in the cluster of CONTEXT.

    It rolls out beside the champion and is tested first.
    """
    from slipway.kubernetes import canary

    loaded = settings.load()
    canary.set_share(loaded, model, weight)
    hints.say_next(f"make deploy_status CONTEXT={loaded.cluster.context}")


@cli.command()
def undeploy() -> None:
    """Take what was deployed of the model out of the cluster of CONTEXT again, and nothing else."""
    from slipway.kubernetes import commands

    commands.undeploy(settings.load())


@cli.command()
@deployed
def diff(model: str) -> None:
    """Show what a deployment of a model version would change in the cluster of CONTEXT, as kubectl diff does."""
    from slipway.kubernetes import commands

    commands.diff(settings.load(), model)


@cli.command()
@click.option("--format", "form", envvar="FORMAT", default="table", help="table (default) or json")
def status(form: str) -> None:
    """Show what runs in the cluster of CONTEXT: model version, image, replicas that are ready, the last rollout."""
    from slipway.kubernetes import status

    status.show(settings.load(), form)


@cli.command("start-registry")
def start_registry() -> None:
    """Start a registry of images on this machine, for clusters that pull."""
    from slipway.services import image_registry

    image_registry.start(settings.load())


@cli.command("stop-registry")
def stop_registry() -> None:
    """Stop the registry of images; they stay."""
    from slipway.services import image_registry

    image_registry.stop(settings.load())


@cli.command("deploy-tracking")
def deploy_tracking() -> None:
    """Deploy MLflow and Postgres to the cluster of CONTEXT, or bring them up to date there; what they keep stays."""
    from slipway.kubernetes import mlflow

    mlflow.deploy(settings.load())


@cli.command("undeploy-tracking")
@click.option("--data", envvar="DATA", default="", help="`delete`: delete volumes and Secret, too")
def undeploy_tracking(data: str) -> None:
    """Take MLflow and Postgres out of the cluster of CONTEXT; their volumes and Secret stay, and with them all data."""
    from slipway.kubernetes import mlflow

    mlflow.undeploy(settings.load(), data)


@cli.command("backup-tracking")
def backup_tracking() -> None:
    """Write all that the tracking server in the cluster of CONTEXT keeps to one dated archive in BACKUP_DIR.

    It goes on meanwhile.
    """
    from slipway.kubernetes import mlflow_backup

    mlflow_backup.backup(settings.load())


@cli.command("restore-tracking")
@click.option("--backup", envvar="BACKUP", default="", help="the archive; without it, those in BACKUP_DIR are listed")
def restore_tracking(backup: str) -> None:
    """Restore an archive of make backup or backup_tracking into the empty tracking server in CONTEXT's cluster."""
    from slipway.kubernetes import mlflow_backup

    mlflow_backup.restore(settings.load(), backup)


@cli.command()
@click.option("--job", envvar="JOB", default="", help="follow this Job, which goes on, instead of making one")
def train(job: str) -> None:
    """Train as a Job of the cluster of CONTEXT, show its log, and register the model.

    Its exit code is that of train.py.
    """
    from slipway.kubernetes import training_job

    training_job.train(settings.load(), job)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the newest")
def push(model: str) -> None:
    """Build a version's image and bring it to where a cluster finds it (REGISTRY or IMAGE_LOAD).

    The registry notes its name there.
    """
    from slipway.kubernetes import image_delivery

    image_delivery.push(settings.load(), model)


@cli.command("deploy-deployer")
def deploy_deployer() -> None:
    """Deploy the deployer to the cluster of CONTEXT, or bring it up to date there.

    From then on the cluster follows @champion by itself.
    """
    from slipway.deployer import in_cluster

    in_cluster.deploy(settings.load())


@cli.command("undeploy-deployer")
def undeploy_deployer() -> None:
    """Take the deployer out of the cluster of CONTEXT, with its records and its token.

    The model that it deployed goes on answering.
    """
    from slipway.deployer import in_cluster

    in_cluster.undeploy(settings.load())


if __name__ == "__main__":
    verbs.run(cli)
