"""A Slurm of one node, on this machine alone, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
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
    """The cluster, while it runs; its commands find it by ``SLURM_CONF`` in the environment.

    Args:
        folder: all that it writes is in there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = socket.gethostname().split(".")[0]
        self._controller: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """That of a process which finds the cluster."""
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def command(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        answer = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout.strip()

    def queue(self) -> dict[str, str]:
        """The state of each job by its number, ``12_3`` for one of an array."""
        lines = self.command("squeue", "-h", "-r", "-o", "%i %t").splitlines()
        return dict(line.split() for line in lines)

    def is_empty(self) -> bool:
        """Whether no job is left, not even one that is ending."""
        return not self.queue()

    def is_idle(self) -> bool:
        """Whether the controller answers, and the node could begin a job."""
        words = ["sinfo", "-h", "-o", "%t"]
        answer = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        return answer.stdout.strip() == "idle"

    def start(self, stack: contextlib.ExitStack) -> None:
        """Have munged, controller and node run until the stack unwinds."""
        munge = {name: f"{self.folder}/munge.{name}" for name in ("socket", "seed", "pid", "log")}
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(1024))
        (self.folder / "state").mkdir()
        with socket.socket() as one, socket.socket() as other:
            ports = []
            for listener in (one, other):
                listener.bind(("127.0.0.1", 0))
                ports.append(listener.getsockname()[1])
        text = CONFIGURATION.format(
            host=self.node,
            user=getpass.getuser(),
            folder=self.folder,
            controller=ports[0],
            node=ports[1],
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        files = [f"--{name}-file={munge[name]}" for name in ("seed", "pid", "log")]
        munged = ["--foreground", f"--socket={munge['socket']}", f"--key-file={key}", *files]
        stack.enter_context(self._running("munged", *munged))
        wait_until(Path(munge["socket"]).exists, 60)
        stack.callback(self.stop_controller)
        self.start_controller()
        stack.enter_context(self._running("slurmd", "-D"))
        wait_until(self.is_idle, 60)
        stack.callback(self._end_jobs)

    def start_controller(self) -> None:
        """Start ``slurmctld``, with the state that it last saved."""
        self._controller = self._process("slurmctld", "-D")

    def stop_controller(self) -> None:
        """Stop ``slurmctld``; jobs go on without it."""
        assert self._controller is not None
        _end(self._controller)

    def _end_jobs(self) -> None:
        assert self._controller is not None
        if self._controller.poll() is not None:
            self.start_controller()
            wait_until(lambda: "up" in self.command("sinfo", "-h", "-o", "%a"), 60)
        self.command("scancel", f"--user={getpass.getuser()}")
        wait_until(self.is_empty, 120)

    def _process(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        path = shutil.which(program, path=SYSTEM_PATH)
        assert path is not None
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [path, *words], env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    @contextlib.contextmanager
    def _running(self, program: str, *words: str) -> Iterator[None]:
        process = self._process(program, *words)
        try:
            yield
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def one_node_slurm() -> Iterator[Slurm]:
    """A Slurm of one node with two processors, in a folder that is gone with it.

    It listens on the loopback alone, on ports that were free, with a key for munge of its own, and
    keeps no accounts, as many small clusters.
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
