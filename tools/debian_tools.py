"""Unpack programs of Debian into a folder, without root and without installing them.

``python tools/debian_tools.py FOLDER docker-registry skopeo`` downloads the packages and what they
need that this machine lacks, unpacks them, and writes a starter for each of their programs into
``FOLDER/bin``. Nothing is configured and no service is started. Tests of the registries and of
Slurm take the programs from ``PATH``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

# Debian's Slurm calls its daemons slurmd-wlm; installing makes links without the ending.
_ENDING = "-wlm"


def unpack(folder: Path, packages: list[str]) -> None:
    """Put programs into a folder; what is there already stays.

    Args:
        folder: Gets ``bin/`` with the starters and ``root/`` with what is in the packages.
        packages: Names of packages.

    Raises:
        subprocess.CalledProcessError: apt knows no such package, or the download failed.
    """
    done = folder / "unpacked.txt"
    if done.is_file() and {*packages} <= {*done.read_text("utf-8").split()}:
        return
    debs, root, starters = folder / "debs", folder / "root", folder / "bin"
    for part in (debs, root, starters):
        part.mkdir(parents=True, exist_ok=True)
    # Rather than --print-uris, which leaves out what apt has in its cache.
    listed = _run(
        "apt-get", "install", "--simulate", "--no-install-recommends", *packages, folder=folder
    )
    names = re.findall(r"(?m)^Inst (\S+)", listed)
    _run("apt-get", "download", "--quiet", *dict.fromkeys([*names, *packages]), folder=debs)
    for deb in sorted(debs.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(deb), str(root), folder=debs)
    for program in sorted([*root.glob("usr/bin/*"), *root.glob("usr/sbin/*")]):
        _write_starter(starters / program.name.removesuffix(_ENDING), program, root)
    done.write_text("\n".join(packages), "utf-8")


def _write_starter(starter: Path, program: Path, root: Path) -> None:
    """Write a script that starts a program with the libraries that were unpacked with it."""
    folders = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("usr/lib/*-linux-gnu*/*-wlm")]
    libraries = ":".join(str(path) for path in sorted(folders))
    starter.write_text(
        "#!/bin/sh\n"
        f"LD_LIBRARY_PATH={shlex.quote(libraries)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\n"
        f'export LD_LIBRARY_PATH\nexec {shlex.quote(str(program))} "$@"\n',
        "utf-8",
    )
    starter.chmod(0o755)


def _run(*command: str, folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    unpack(Path(sys.argv[1]).absolute(), sys.argv[2:])
