"""A Slurm cluster on 127.0.0.1, for tests: Debian's programs with a configuration of ours.

``apt-get install slurmctld slurmd slurm-client munge`` brings them, or
``tools/debian_tools.py`` of the repository, which installs nothing. Their services are not needed
and not started by this. No root, no cgroups, no accounting; what a job may use is counted and not
enforced.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uploader_core.plugin import PluginError

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scancel", "scontrol", "sinfo", "squeue")
HOW_TO_GET = "apt-get install slurmctld slurmd slurm-client munge"
PREEMPTING = "urgent"
"""The partition whose jobs take the place of those of all others, which are put back in line."""

_LIMIT = 60.0
_PORTS = range(15_000, 30_000)
"""Below those that Linux, macOS and Windows give to connections."""
_CONFIG = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A job that was requeued waits until the credentials of its last start are void; 120 s by default.
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=2
MinJobAge={job_age}
ReturnToService=2
MailProg=/bin/true
PartitionName=short Nodes=ALL Default=YES MaxTime=60 PriorityTier=1
PartitionName=long Nodes=ALL MaxTime=600 PriorityTier=1
PartitionName={preempting} Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
"""
_NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus}"
    " RealMemory={memory} TmpDisk=1000 State=UNKNOWN{more}\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopbackCluster:
    """A cluster that runs.

    Attributes:
        root: Folder with its configuration, its logs and its state.
        environment: Variables with which Slurm's commands find it.
        nodes: Names of its nodes.
    """

    root: Path
    environment: Mapping[str, str]
    nodes: tuple[str, ...]
    _daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *command: str) -> str:
        """Return what one of Slurm's commands prints.

        Raises:
            PluginError: It failed.
        """
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True
        )
        if done.returncode:
            raise PluginError(
                f"{' '.join(command)} failed: {done.stderr.strip()}",
                owner="uploader_slurm.loopback",
                next=f"see the logs in {self.root}",
            )
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """Return the states of all jobs that it knows, by id."""
        lines = self.run("squeue", "--noheader", "--states=all", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def drain(self, node: str) -> None:
        """Let a node finish what it does and take nothing more."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Let a node take jobs again."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def start_controller(self) -> None:
        """Start the daemon that knows the jobs; it goes on from what it knew."""
        self.start("slurmctld", "slurmctld", "-D")
        self.wait_for(lambda: bool(self.run("sinfo", "--noheader")), "slurmctld")

    def stop_controller(self) -> None:
        """End that daemon; its jobs go on.

        Not by a kill: it writes down what it knows every few seconds only, and what it forgot
        that way it starts again, beside itself.
        """
        daemon = self._daemons.pop("slurmctld")
        daemon.terminate()
        daemon.wait()

    def start(self, name: str, *command: str) -> None:
        """Start a daemon that ends with the cluster."""
        program = shutil.which(command[0])
        if program is None:
            raise PluginError(
                f"{command[0]} is not on the PATH",
                owner="uploader_slurm.loopback",
                next=HOW_TO_GET,
            )
        with (self.root / f"{name}.out").open("ab") as log:
            daemon = subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                cwd=self.root,
                start_new_session=True,
            )
        self._daemons[name] = daemon

    def stop(self) -> None:
        """Cancel all jobs, which would go on without their daemons, and end those."""
        if "slurmctld" in self._daemons:
            with contextlib.suppress(PluginError):
                self.run("scancel", f"--user={getpass.getuser()}")
                self.wait_for(
                    lambda: not self.run("squeue", "-h", "--states=running,completing"),
                    "the end of the jobs",
                )
        for daemon in reversed(self._daemons.values()):
            daemon.kill()
            daemon.wait()

    def wait_for(self, ready: Callable[[], bool], what: str) -> None:
        """Wait until something holds; an error counts as no.

        Raises:
            PluginError: It did not in time.
        """
        until = time.monotonic() + _LIMIT
        while time.monotonic() < until:
            with contextlib.suppress(PluginError):
                if ready():
                    return
            time.sleep(0.1)
        logs = [*self.root.glob("*.out"), *self.root.glob("*.log")]
        tails = [f"{log.name}: {log.read_text('utf-8', 'replace')[-500:]}" for log in logs]
        raise PluginError(
            f"Slurm: {what} was not ready in {_LIMIT:.0f} s\n" + "\n".join(tails),
            owner="uploader_slurm.loopback",
            next="try the daemon in a terminal",
        )


def is_available() -> bool:
    """Tell whether the programs are on this machine."""
    return all(map(shutil.which, PROGRAMS))


@contextlib.contextmanager
def loopback_cluster(
    *,
    nodes: int = 1,
    cpus: int = 2,
    memory: int = 4000,
    features: str = "",
    job_age: int = 300,
) -> Iterator[LoopbackCluster]:
    """Start a cluster, and end it with the block, and with it its jobs.

    Args:
        nodes: How many.
        cpus: Of each node; more than the machine has is no mistake.
        memory: Of each node, in MB.
        features: Of each node, with commas, such as ``a100-80``.
        job_age: Seconds for which a job that has ended is known.

    Raises:
        PluginError: The programs are not there, or do not start.
    """
    with contextlib.ExitStack() as stack:
        root = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="uploader-slurm-", ignore_cleanup_errors=True)
            )
        )
        root.chmod(0o711)  # munged wants its socket within reach of everybody
        names = tuple(f"node{number}" for number in range(nodes))
        host, ports = socket.gethostname().partition(".")[0], _free_ports(nodes + 1)
        more = f" Feature={features}" if features else ""
        lines = _CONFIG.format(
            host=host,
            controller_port=ports[0],
            user=getpass.getuser(),
            root=root,
            job_age=job_age,
            preempting=PREEMPTING,
        ) + "".join(
            _NODE.format(name=name, host=host, port=port, cpus=cpus, memory=memory, more=more)
            for name, port in zip(names, ports[1:], strict=True)
        )
        unpacked = _unpacked_plugins()
        if unpacked is not None:
            lines = f"PluginDir={unpacked}\n" + lines
        (root / "slurm.conf").write_text(lines, "utf-8")
        (root / "cgroup.conf").write_text(f"CgroupPlugin={_no_cgroups()}\n", "utf-8")
        (root / "state").mkdir()
        key = root / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        cluster = LoopbackCluster(
            root=root,
            environment={"SLURM_CONF": str(root / "slurm.conf")},
            nodes=names,
        )
        stack.callback(cluster.stop)
        _start(cluster)
        yield cluster


def _start(cluster: LoopbackCluster) -> None:
    root = cluster.root
    files = {
        "key-file": "munge.key",
        "socket": "munge.socket",
        "pid-file": "munge.pid",
        "seed-file": "munge.seed",
        "log-file": "munge.log",
    }
    options = (f"--{option}={root / name}" for option, name in files.items())
    cluster.start("munged", "munged", "--foreground", *options)
    cluster.wait_for((root / "munge.socket").exists, "munged")
    cluster.start_controller()
    stepd = shutil.which("slurmstepd")  # an installed one is found by slurmd itself
    for name in cluster.nodes:
        cluster.start(name, "slurmd", "-D", "-N", name, *(("-d", stepd) if stepd else ()))
    cluster.wait_for(lambda: {*cluster.run("sinfo", "-hNo", "%T").split()} == {"idle"}, "slurmd")


def _free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on.

    They are bound later, by daemons that are started again as well. So none is of those that the
    system gives to whoever asks for any, such as each connection of another process.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_PORTS, 1000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise PluginError(
        f"no {count} ports of {_PORTS.start} to {_PORTS.stop - 1} are free",
        owner="uploader_slurm.loopback",
        next="see what listens on them: `ss -ltn`",
    )


def _unpacked_plugins() -> Path | None:
    """Return the folder of Slurm's plugins where the programs are unpacked and not installed."""
    program = Path(shutil.which("slurmd") or "slurmd")
    return next(program.parent.parent.glob("root/usr/lib/*/slurm-wlm"), None)


def _no_cgroups() -> str:
    """Return the plugin that asks nothing of the kernel; it has a name of its own since 23.11."""
    slurmd = shutil.which("slurmd") or "slurmd"
    said = subprocess.run([slurmd, "-V"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.(\d+)", said)
    new = version is not None and (int(version[1]), int(version[2])) >= (23, 11)
    return "disabled" if new else "cgroup/v1"
