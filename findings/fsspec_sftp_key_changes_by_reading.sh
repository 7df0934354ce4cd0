#!/usr/bin/env bash
# fsspec 2026.9.0, paramiko 5.1.0, with the SFTP server of asyncssh 2.24.1; Linux, Python 3.
#
# fsspec's ukey() of a file, which "may be used to check whether the file has changed", is another one on SFTP after
# the access time of the file moved: info() has it as "time" beside "mtime", and ukey() is a hash of all of info().
# Its SFTP file system also hands every option to paramiko's connect, so use_listings_cache, which each other file
# system takes, is a TypeError there.
#
# Why it surprises: whoever compares ukey(), as fsspec's own "filecache" with check_files=True does, takes a file for
# changed because somebody read it. What changes with the content is "mtime" with "size".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fsspec==2026.9.0 paramiko==5.1.0 asyncssh==2.24.1
mkdir "$work/disk"
echo content > "$work/disk/x.txt"
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import asyncio
import os
import threading

import asyncssh
import fsspec


class Login(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return True


async def serve():
    return await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        server_factory=Login, sftp_factory=lambda chan: asyncssh.SFTPServer(chan, chroot=b"disk"),
    )


loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
port = asyncio.run_coroutine_threadsafe(serve(), loop).result(60).get_port()
login = {"host": "127.0.0.1", "port": port, "username": "u", "password": "p",
         "look_for_keys": False, "allow_agent": False}
fs = fsspec.filesystem("sftp", **login)
before = fs.ukey("/x.txt")
# A day on, as a read moves it on a disk that keeps access times; nothing is written.
status = os.stat("disk/x.txt")
os.utime("disk/x.txt", ns=(status.st_atime_ns + 86_400 * 10**9, status.st_mtime_ns))
after = fs.ukey("/x.txt")
print("ukey before:", before[:16], " after:", after[:16], " info:", fs.info("/x.txt"))
assert before != after
try:
    fsspec.filesystem("sftp", use_listings_cache=False, **login)
except TypeError as error:
    print("with use_listings_cache:", error)
else:
    raise AssertionError("the option was taken")
os._exit(0)
PYTHON
