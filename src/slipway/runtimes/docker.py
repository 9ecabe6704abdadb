"""Containers of our images: scripts run in the training image, servers in that of a version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from slipway import model_folder, shell
from slipway.bootstrap import docker_cli, ownership
from slipway.bootstrap.proxies import no_proxy, reach_directly
from slipway.errors import SlipwayError
from slipway.runtimes import containers, images, prediction_log
from slipway.runtimes.base import KEEPER, Command, LiveServer, Prepared, Script, name_store
from slipway.settings import LOCAL, MLFLOW_INSIDE

if TYPE_CHECKING:
    import subprocess

    from slipway.runtimes.locks import Lock
    from slipway.settings import Settings

STORE_INSIDE = "/store"  # a script's own store, as its container sees it
WORKPLACE = "/app/model"  # a volume that begins as the image has it, and ends with the container
ENGINE_S = 60  # more for a container to begin and end
INSIDE = "/opt/live"  # a live server's folder, as its container sees it
ALWAYS = ("--restart", "unless-stopped")  # after a crash, and after a reboot
SHARED = "/run/keeper"  # the volume that the keeper and the versions share
LOG_LINES = 50
OF_CLIENT = re.compile("PATH$|HOME$|DOCKER_|LD_")  # variables that docker's client itself heeds


class Docker:
    """The runtime `docker`."""

    has_images, shares_files = True, False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run_script(self, model: model_folder.ModelFolder, script: Script) -> tuple[int, str]:
        """Run a script in a container of the training image."""
        name = script.note.stem if script.note else containers.training_container(self._settings.services)
        command, hidden = self._script_command(model, script, name)
        try:
            return shell.show(command, env=hidden)
        finally:
            ownership.remove_container(name)  # one that did not stop in time

    def start_script(self, model: model_folder.ModelFolder, script: Script, log: Path) -> subprocess.Popen[bytes]:
        """Start a container of the training image, with the name of the script's note."""
        name = script.note.stem if script.note else containers.training_container(self._settings.services)
        command, hidden = self._script_command(model, script, name)
        return shell.start(command, env=hidden, log=log)

    def clear_script(self, note: Path) -> None:
        """Remove the container with the note's name."""
        ownership.remove_container(note.stem)

    def _script_command(self, model: model_folder.ModelFolder, script: Script, name: str) -> Command:
        """Return the command that runs a script in a container of that name; build its image."""
        image = images.build_training(self._settings, model, script.lock)
        network, uri = self._find_tracking()
        given = {**no_proxy(), "MLFLOW_TRACKING_URI": uri, **(name_store(STORE_INSIDE) if script.store else {})}
        given |= {"KEPT_DIR": "/kept"} if script.kept else {}
        told = {key: value for key, value in script.variables.items() if key not in given}
        hidden = {key: value for key, value in told.items() if not OF_CLIENT.match(key)}
        given |= {key: value for key, value in told.items() if key not in hidden}
        volumes = [part for path, place in script.mounts.items() for part in ("--volume", f"{path}:{place}:ro")]
        for path, place in ((script.kept, "/kept"), (script.store, STORE_INSIDE)):
            if path:
                volumes += ["--user", containers.writing_user(path), "--volume", f"{path}:{place}"]
        options = ["--rm", "--name", name, *containers.confinement(self._settings), *network, *volumes]
        options += ["--volume", WORKPLACE, *docker_cli.flags("--env", given)]
        options += [part for key in hidden for part in ("--env", key)]  # the client has the values: no list shows them
        return docker_cli.run(image, options, ["python", *script.command]), hidden

    def _find_tracking(self) -> tuple[list[str], str]:
        """Return docker's options for the network, and the tracking server's address in it."""
        uri = self._settings.tracking_uri
        if self._settings.tracking.is_ours:
            return ["--network", self._settings.services.project], MLFLOW_INSIDE
        if not uri.startswith("http") or urlsplit(uri).hostname in LOCAL:
            cure = "RUNTIME=host, or another address of that server"
            raise SlipwayError(f"a container cannot reach MLFLOW_TRACKING_URI={uri}", cure)
        return [], uri

    def name_training(self, model: model_folder.ModelFolder, lock: Lock) -> str:
        """Return the tag of the training image."""
        return images.training_tag(model, lock)

    def image(self, prepared: Prepared) -> str:
        """Return the tag of the version's image, built if missing."""
        model = model_folder.load(self._settings.model_dir)
        return images.build_served(self._settings, model, prepared)

    def address(self, name: str, port: int) -> str:
        """Return the URL of a container: by its name, when this process is in a container of the same network."""
        if not self._settings.network:
            return f"http://127.0.0.1:{port}"
        reach_directly(name)
        return f"http://{name}:8080"

    def serve_command(self, prepared: Prepared, name: str = "") -> Command:
        """Run the version's image, with current metrics in its identity; the image contains none."""
        published = "" if name and self._settings.network else None
        options = prediction_log.serving_options(self._settings, prepared, name or self._name_served(), published)
        identity = ["--env", f"SCORING_IDENTITY={prepared.identity}"]
        return docker_cli.run(self.image(prepared), ["--rm", *options, *identity]), {}

    def clear_port(self) -> None:
        """Remove the container of a `serve_model` that was killed."""
        ownership.remove_container(self._name_served(), labelled=True)

    def start_trial(self, prepared: Prepared, name: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a container of that name."""
        command, environment = self.serve_command(prepared, name)
        return shell.start(command, env=environment, log=log)

    def clear_trial(self, name: str, log: Path) -> None:  # noqa: ARG002 -- see Runtime
        """Remove the container of that name."""
        ownership.remove_container(name)

    def predict(self, prepared: Prepared, rows: str, seconds: int) -> shell.Answer:
        """Ask the model in a container without a network."""
        name = containers.name_reference(self._settings.services)
        ownership.remove_container(name)  # of an earlier life: a container that begins again gives the same numbers
        options = ["--rm", "--interactive", "--name", name, "--no-healthcheck", "--network", "none"]
        program = ["timeout", str(seconds)]  # a client that is killed leaves its container
        program += ["python", "-W", "ignore", "-m", "scoring.reference", "/opt/model"]
        options += containers.confinement(self._settings)
        command = docker_cli.run(self.image(prepared), options, program)
        try:
            return shell.ask(command, words=rows, seconds=seconds + ENGINE_S)
        finally:  # after Ctrl-C or a time-out, what is left of it would go on asking the model
            ownership.remove_container(name)

    def predict_file(self, prepared: Prepared, file: Path, options: list[str], output: IO[bytes]) -> tuple[int, str]:
        """Predict in a container without a network, which sees the file by the name `rows`."""
        seen = containers.bind(file, inside := f"/given/rows{file.suffix}", "readonly")
        given = ["--network", "none", "--user", containers.reading_user(file), *seen]
        name = containers.name_reference(self._settings.services)
        return self._run(prepared, name, given, ["files", "/opt/model", "--file", inside, *options], output)

    def score_batch(
        self, prepared: Prepared, places: tuple[str, str], options: list[str], output: IO[bytes]
    ) -> tuple[int, str]:
        """Score in a container that sees DATA and OUT, and has a network only for those that are no paths."""
        data, out = (Path(each) for each in places)
        given, inside = list[str](), list(places)
        if data.exists():
            inside[0] = f"/given/{data.name}" if data.is_file() else "/given"
            given += containers.bind(data, inside[0], "readonly")
        if out.exists():
            inside[1] = "/out"
            given += [*containers.bind(out, "/out"), "--user", containers.reading_user(out)]
        cloud = [part for name in containers.CLOUD for part in ("--env", name)]  # the client has the values
        given += ["--network", "none"] if data.exists() and out.exists() else cloud
        name = containers.name_batch(self._settings.services, places[1])
        return self._run(
            prepared, name, given, ["batch", "/opt/model", "--data", inside[0], "--out", inside[1], *options], output
        )

    def _run(
        self, prepared: Prepared, name: str, given: list[str], program: list[str], output: IO[bytes]
    ) -> tuple[int, str]:
        """Run a program of scoring.processes in a container of the version's image."""
        ownership.remove_container(name)  # of an earlier life
        scoring = self._settings.serving.scoring
        given = [*containers.confinement(self._settings), *given]
        given += docker_cli.flags("--env", {key: scoring[key] for key in scoring.keys() - containers.SCORING_FILES})
        command = ["python", "-W", "ignore", "-m", f"scoring.processes.{program[0]}", *program[1:]]
        options = ["--rm", "--name", name, "--no-healthcheck", *given]
        try:
            return shell.show(docker_cli.run(self.image(prepared), options, command), output=output)
        finally:
            ownership.remove_container(name)

    def live_server(self, folder: Path) -> LiveServer:
        """Return a server that is made of containers."""
        return Containers(self._settings, folder)

    def _name_served(self) -> str:
        return f"{self._settings.services.project}-serve-{self._settings.serving.port}"


class Containers(LiveServer):
    """A live server that is made of containers: the keeper's, and one of each version's own image.

    They share a volume in memory, with the door in it, because Docker Desktop mounts no unix socket of the machine.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        super().__init__(settings, folder)
        self._name = f"{settings.services.project}-live-{settings.serving.port}"
        self._volume = f"{settings.services.project}_live_{settings.serving.port}"

    @property
    def url(self) -> str:
        """The address on this machine, or in the network that this process is in."""
        return Docker(self._settings).address(self._name, self._settings.serving.port)

    def check(self) -> None:
        """Raise SlipwayError if a container of that name belongs to another checkout."""
        ownership.check_container(self._name)

    def find_url(self, name: str) -> str:
        """Return the version's address in our network, or the one that the engine chose for it, once it has."""
        if self._settings.network:
            return Docker(self._settings).address(self._call(name), 8080)
        answer = shell.ask(docker_cli.name_published(self._call(name), 8080))
        return f"http://{answer.out.splitlines()[0]}" if answer.code == 0 and answer.out else ""

    def reach(self, name: str) -> None:
        """Have the container in our network: a deployer that was no container started it without one.

        Raises SlipwayError when the engine does not connect it.
        """
        if not self._settings.network:
            return
        answer = shell.ask(docker_cli.connect(self._settings.network, self._call(name)))
        if answer.code != 0 and "already" not in answer.words:
            raise SlipwayError(
                f"{self._call(name)} does not join the network: {answer.last}", "make stop_deployer start_deployer"
            )

    def _make_keeper(self, prepared: Prepared) -> Command:
        self._folder.chmod(0o755)  # the container's user reads the link in it
        published = f"127.0.0.1:{self._settings.serving.port}:8080"
        options = [*self._life(*ALWAYS), *containers.placement(self._settings, self._name, published)]
        options += ["--volume", f"{self._folder}:{INSIDE}:ro", "--volume", f"{self._share()}:{SHARED}"]
        program = ["python", "-m", "scoring.processes.keeper", INSIDE, "--door", f"{SHARED}/door", "--any-user"]
        program += ["--host", "0.0.0.0", "--port", "8080"]  # noqa: S104 -- in the container
        program += ["--sockets", self._settings.serving.scoring["SCORING_WORKERS"]]
        return docker_cli.run(Docker(self._settings).image(prepared), options, program), {}

    def _make_version(self, name: str, prepared: Prepared) -> Command:
        published = "" if self._settings.network else "127.0.0.1::8080"  # the engine chooses
        options = prediction_log.serving_options(self._settings, prepared, self._call(name), published)
        options += [*self._life(), "--volume", f"{self._share()}:{SHARED}:ro"]
        given = {"SCORING_IDENTITY": prepared.identity, "SCORING_KEEPER": f"{SHARED}/door", "SCORING_KEEPER_NAME": name}
        options += docker_cli.flags("--env", given)
        return docker_cli.run(Docker(self._settings).image(prepared), options), {}

    def _share(self) -> str:
        """Return the name of the volume, made if missing: whoever used it first would make one that is root's."""
        in_memory = {"type": "tmpfs", "device": "tmpfs", "o": f"uid={containers.USER_ID},mode=0755"}
        ownership.make("volume", self._volume, self._settings.services.project, "live", in_memory)
        return self._volume

    def _life(self, *again: str) -> list[str]:
        """Return options for a container in the background, started `again` or not, or in the foreground."""
        return ["--detach", *again] if self.is_detached else ["--rm"]

    def keep_alive(self, name: str) -> None:
        """Tell the engine to start a detached container again; one that does not load would never seem to end."""
        if self.is_detached:
            shell.ask(docker_cli.update(self._call(name), ALWAYS))

    def _call(self, name: str) -> str:
        return self._name if name == KEEPER else f"{self._name}-{name}"

    def _detach(self, name: str, command: list[str], variables: dict[str, str]) -> None:  # noqa: ARG002 -- see LiveServer
        shell.echo(command)
        answer = shell.ask(command)
        if answer.code != 0:
            self._remove(name)  # a container that was made and not started
            raise SlipwayError(f"the server does not start: {answer.last}")

    def _runs_detached(self, name: str) -> bool:
        return shell.ask(docker_cli.say_running(self._call(name))).out == "true"

    def mend(self, name: str) -> bool:
        """Leave a detached container to the engine."""
        return not self.is_detached and super().mend(name)

    def end(self, name: str) -> None:
        """Send SIGTERM, after which the engine does not start the container again."""
        if ownership.check_container(self._call(name)):
            shell.ask(docker_cli.send_signal(self._call(name), "TERM"))

    def _remove(self, name: str) -> None:
        ownership.remove_container(self._call(name))

    def list_names(self) -> list[str]:
        """Return the names of those on record, and of containers that have none, as after a lost folder."""
        rows = shell.ask(docker_cli.list_all("container", ["Names"], [f"name=^{self._name}-"])).out.splitlines()
        return sorted({*super().list_names(), *(row.removeprefix(f"{self._name}-") for row in rows)})

    def stop(self, name: str, seconds: float = 0) -> None:
        """End a container, as every program; with the keeper, the volume goes, too."""
        super().stop(name, seconds)
        if name == KEEPER:
            shell.ask(docker_cli.remove("volume", [self._volume]))

    def read_log(self, name: str) -> str:
        """Return the engine's log of it."""
        answer = shell.ask(docker_cli.read_log(self._call(name), LOG_LINES))
        return answer.words if answer.code == 0 else ""
