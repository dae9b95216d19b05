"""A Slurm of one node, on this machine alone, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_sweeps import wait_until

from course.testing import SYSTEM_PATH, slurm_programs_missing

__all__ = ["Slurm", "needs_slurm", "one_node_slurm"]

needs_slurm = pytest.mark.skipif(
    bool(slurm_programs_missing()),
    reason="there is no Slurm here: Debian's packages slurm-wlm and munge bring it",
)

# Nothing that needs the system's own services, and no waiting for the sake of a large cluster.
CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
ReturnToService=2
KillWait=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=all Nodes=ALL Default=YES MaxTime=60 State=UP
"""


class Slurm:
    """The cluster, while it runs.

    Args:
        folder: all that it writes is in there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.configuration = folder, folder / "slurm.conf"
        self.node = socket.gethostname().split(".")[0]

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """How one of Slurm's commands ends."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        return subprocess.run(words, env=environment, capture_output=True, text=True)

    def command(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        answer = self.ask(*words)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def is_empty(self) -> bool:
        """Whether no job is left, not even one that is ending."""
        return not self.command("squeue", "-h", "-r")

    def start(self, stack: contextlib.ExitStack) -> None:
        """Have munge, the controller and the node run until the stack unwinds."""
        (self.folder / "state").mkdir()
        self.configuration.write_text(
            CONFIGURATION.format(
                host=self.node,
                user=getpass.getuser(),
                folder=self.folder,
                **dict(zip(("controller", "node"), _free_ports(2), strict=True)),
            ),
            encoding="utf-8",
        )
        key, door = self.folder / "munge.key", self.folder / "munge.socket"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        files = [f"--{name}-file={self.folder}/munge.{name}" for name in ("seed", "pid", "log")]
        munged = self._start("munged", "-F", f"--socket={door}", f"--key-file={key}", *files)
        stack.callback(_end, munged)
        wait_until(door.exists, 120)
        stack.callback(self.stop_controller)
        self.start_controller()
        stack.callback(_end, self._start("slurmd", "-D"))
        wait_until(lambda: self.command("sinfo", "-h", "-o", "%t") == "idle", 120)
        stack.callback(self._end_jobs)

    def start_controller(self) -> None:
        """Start ``slurmctld``, with the state that it last saved, and wait until it answers."""
        self._controller = self._start("slurmctld", "-D")
        wait_until(lambda: self.ask("scontrol", "ping").returncode == 0, 120)

    def stop_controller(self) -> None:
        """Stop ``slurmctld``; jobs go on without it."""
        _end(self._controller)

    def _end_jobs(self) -> None:
        if self._controller.poll() is not None:
            self.start_controller()
        self.command("scancel", f"--user={getpass.getuser()}")
        wait_until(self.is_empty, 300)

    def _start(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        path = shutil.which(program, path=SYSTEM_PATH)
        assert path is not None
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [path, *words],
                env={**os.environ, "SLURM_CONF": str(self.configuration)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _port in range(number)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def one_node_slurm() -> Iterator[Slurm]:
    """A Slurm of one node with two processors, in a folder that is gone with it.

    It listens on the loopback alone, on ports that were free, with a key for munge of its own, and
    keeps no accounts, as many small clusters. Commands find it by ``SLURM_CONF``, the path of its
    ``configuration``.
    """
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # munged wants its socket where everybody can reach it
        slurm = Slurm(folder)
        try:
            slurm.start(stack)
        except BaseException:
            for log in sorted(folder.glob("*.log")):
                print(f"{log.name}:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
            raise
        yield slurm
