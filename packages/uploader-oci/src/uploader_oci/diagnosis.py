"""What ``uploader doctor`` should know of registries: which logins there are, and who has them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from uploader_core.plugin import AuthError, Diagnosis
from uploader_oci.registry.credentials import PASSWORD, SECRETS, USERNAME, known_logins

_LOGIN = f"docker login HOST, or set {USERNAME} and {PASSWORD}"


def diagnose(*, online: bool) -> Iterator[Diagnosis]:
    """Look at variables and files; no registry is asked, for nobody says which."""
    del online
    secrets = {name: os.environ[name] for name in SECRETS if os.environ.get(name)}
    try:
        logins = known_logins(secrets)
    except AuthError as error:
        yield Diagnosis(name="login", level="fail", what=error.what, fix=error.next)
        return
    if secrets.get(USERNAME) and secrets.get(PASSWORD):
        yield Diagnosis(name="login", level="ok", what=f"by {USERNAME}, for every registry")
    elif not logins:
        what = "none: only registries that are open to everybody can be reached"
        yield Diagnosis(name="login", level="warn", what=what, fix=_LOGIN)
    for origin, hosts, helpers in logins:
        missing = [h for h in helpers if shutil.which(f"docker-credential-{h}") is None]
        if missing:
            yield Diagnosis(
                name="login",
                level="fail",
                what=f"{origin} names docker-credential-{missing[0]}, which is not on the PATH",
                fix=f"install docker-credential-{missing[0]}, or take it out of {origin}",
            )
        else:
            asked = f", and docker-credential-{helpers[0]} is asked" if helpers else ""
            what = f"{', '.join(hosts) or 'no host'} in {origin}{asked}"
            yield Diagnosis(name="login", level="ok", what=what)
