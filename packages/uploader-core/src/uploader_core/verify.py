"""Whether a release is what its manifest says, wherever it is. No run needs it."""

from __future__ import annotations

import re

from uploader_core.contract.context import VerifyContext
from uploader_core.destinations.verification import Verification
from uploader_core.destinations.verify import verify_folder
from uploader_core.errors import UsageError
from uploader_core.home import from_home
from uploader_core.planning.destinations import find_destination, split_destination
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.targets import find_target
from uploader_core.workers.messages import Settings, Verify
from uploader_core.workers.pool import Workers


def verify(
    reference: str, registry: Registry, config: Config, *, full: bool = True
) -> Verification:
    """Compare a release with its manifest, wherever it is. Nothing is changed.

    Args:
        reference: A folder, or ``scheme:rest`` or ``@name`` of a destination.
        registry: Installed plugins.
        config: For the environment, where credentials are.
        full: Also compare contents; False looks at names and sizes only.

    Raises:
        UsageError: There is no such folder, or that destination cannot be verified.
        UploaderError: What the destination's plugin says.
    """
    found = find_target(reference, config.tables)
    reference = found.to
    path = from_home(reference)
    if path.is_dir():
        return verify_folder(path, full=full)
    # Two letters at least: one is a drive.
    if not re.match(r"[a-z][a-z0-9.-]+:.", reference):
        raise UsageError(
            f"there is no folder {reference}",
            next="give a release folder, or a destination such as hf:user/model",
        )
    name, target = split_destination(reference, registry)
    plugin, spec = find_destination(name, target, registry)
    if spec.verify is None:
        raise UsageError(
            f"{plugin.entry.owner} cannot verify what lies at {name}:",
            next="verify the release folder, or a downloaded copy",
        )
    settings = config.with_table(plugin.id, found.settings).settings(plugin.id, spec.settings)
    asked = Verify(
        step=f"verify {reference}",
        owner=plugin.entry.owner,
        secrets=found.names_of(spec.secrets),
        network=True,
        run=spec.verify,
        context=VerifyContext(target=target, full=full),
        settings=Settings.of(plugin.id, settings),
    )
    return Workers(config.environment).perform(asked)
