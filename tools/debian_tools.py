"""Unpack programs of Debian into a folder, without root and without installing them.

``python tools/debian_tools.py FOLDER docker-registry skopeo`` downloads the packages and what they
need that this machine lacks, unpacks them, and writes a starter for each program into
``FOLDER/bin``. Nothing is configured and no service is started. Tests of the registries take the
programs from ``PATH``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path


def unpack(folder: Path, programs: list[str]) -> None:
    """Put programs into a folder; what is there already stays.

    Args:
        folder: Gets ``bin/`` with the starters and ``root/`` with what is in the packages.
        programs: Names of packages, each with a program of the same name.

    Raises:
        subprocess.CalledProcessError: apt knows no such package, or the download failed.
        SystemExit: A package has no program of its name.
    """
    if all((folder / "bin" / name).is_file() for name in programs):
        return
    folder.mkdir(parents=True, exist_ok=True)
    listed = _run(
        "apt-get", "install", "--print-uris", "--yes", "--no-install-recommends", *programs,
        folder=folder,
    )  # fmt: skip
    # Lines of packages to fetch: 'address' file-name size hash. Installed programs have none.
    names = re.findall(r"(?m)^'[^']+/([^/_']+)_[^/']*' ", listed)
    debs, root, starters = folder / "debs", folder / "root", folder / "bin"
    for part in (debs, root, starters):
        part.mkdir(parents=True, exist_ok=True)
    _run("apt-get", "download", "--quiet", *dict.fromkeys([*names, *programs]), folder=debs)
    for deb in sorted(debs.glob("*.deb")):
        _run("dpkg-deb", "--extract", str(deb), str(root), folder=debs)
    libraries = ":".join(str(path) for path in sorted((root / "usr" / "lib").glob("*-linux-gnu*")))
    for name in programs:
        program = root / "usr" / "bin" / name
        if not program.is_file():
            raise SystemExit(f"Debian's package {name} has no /usr/bin/{name}")
        starter = starters / name
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
