"""Slipway itself: the demo, the linters, the fuzzer."""

from slipway import errors

errors.catch_interrupts()

import click

from slipway import verbs

cli = click.Group(help=__doc__, no_args_is_help=False)


@cli.command()
def demo() -> None:
    """Train, register, serve and test the model in MODEL_DIR on this machine, without Docker."""
    from slipway import settings
    from slipway.develop import demo

    demo.run(settings.load())


@cli.command()
def check() -> None:
    """Lint and type-check everything: one line per tool, and the output of those that found something."""
    from slipway.develop import check

    check.run()


@cli.command()
@click.option("--seconds", envvar="SECONDS", type=int, default=600, show_envvar=True, help="how long")
def fuzz(seconds: int) -> None:
    """Fuzz the model server's decoders for SECONDS (600), on Linux.

    Every body is read or refused, with the same result on both paths.
    """
    from slipway.develop import fuzz

    fuzz.run(seconds)


if __name__ == "__main__":
    verbs.run(cli)
