"""The cluster of CONTEXT, or minikube: models, MLflow, the deployer, training Jobs, and an image registry."""

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
    """Remove the model, and nothing else, from minikube or the cluster of CONTEXT."""
    from slipway.kubernetes import commands, minikube

    commands.undeploy(minikube.adapt(settings.load()))


@cli.command()
@deployed
def deploy(model: str) -> None:
    """Deploy a model version to the cluster of CONTEXT, wait until it answers, and test its API there.

    A failed deployment is reverted.
    """
    from slipway.kubernetes import commands

    loaded = settings.load()
    commands.deploy(loaded, model)
    hints.say_next(f"make deploy_status CONTEXT={loaded.cluster.context}")


@cli.command()
@click.option(
    "--model", envvar="MODEL", default="", help="the version, such as models:/name/4; default: the running challenger"
)
@click.option("--weight", envvar="WEIGHT", default="", help="requests out of 100 that it gets; 0 ends it")
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
    """Remove the model, and nothing else, from the cluster of CONTEXT."""
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
    """Show what runs in the cluster of CONTEXT: model version, image, ready replicas, last rollout."""
    from slipway.kubernetes import status

    status.show(settings.load(), form)


@cli.command("start-registry")
def start_registry() -> None:
    """Start an image registry on this machine, for clusters that pull."""
    from slipway.services import image_registry

    image_registry.start(settings.load())


@cli.command("stop-registry")
def stop_registry() -> None:
    """Stop the image registry; its images stay."""
    from slipway.services import image_registry

    image_registry.stop(settings.load())


@cli.command("deploy-tracking")
def deploy_tracking() -> None:
    """Deploy MLflow and Postgres to the cluster of CONTEXT, or update them there; their data stays."""
    from slipway.kubernetes import mlflow

    mlflow.deploy(settings.load())


@cli.command("undeploy-tracking")
@click.option("--data", envvar="DATA", default="", help="`delete`: also delete the volumes and the Secret")
def undeploy_tracking(data: str) -> None:
    """Remove MLflow and Postgres from the cluster of CONTEXT; their volumes and Secret, so all data, stay."""
    from slipway.kubernetes import mlflow

    mlflow.undeploy(settings.load(), data)


@cli.command("backup-tracking")
def backup_tracking() -> None:
    """Back up the tracking server in the cluster of CONTEXT to one dated archive in BACKUP_DIR.

    It keeps running meanwhile.
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
@click.option("--job", envvar="JOB", default="", help="follow this running Job instead of creating one")
def train(job: str) -> None:
    """Train as a Kubernetes Job in the cluster of CONTEXT, show its log, and register the model.

    Its exit code is that of the script.
    """
    from slipway.kubernetes import training_job

    training_job.train(settings.load(), job)


@cli.command()
@click.option("--model", envvar="MODEL", default="", help="the version, such as models:/name/3; default: the newest")
def push(model: str) -> None:
    """Build a version's image and make it available to a cluster (REGISTRY or IMAGE_LOAD).

    The registry records the image's name.
    """
    from slipway.kubernetes import image_delivery

    image_delivery.push(settings.load(), model)


@cli.command("deploy-deployer")
def deploy_deployer() -> None:
    """Deploy the deployer to the cluster of CONTEXT, or update it there.

    From then on the cluster follows @champion.
    """
    from slipway.deployer import in_cluster

    in_cluster.deploy(settings.load())


@cli.command("undeploy-deployer")
def undeploy_deployer() -> None:
    """Remove the deployer from the cluster of CONTEXT, with its records and its token.

    The model that it deployed keeps answering.
    """
    from slipway.deployer import in_cluster

    in_cluster.undeploy(settings.load())


if __name__ == "__main__":
    verbs.run(cli)
