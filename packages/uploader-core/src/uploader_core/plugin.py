"""The public surface for plugin authors, and the only module of core that they import.

Importing it is cheap: nothing heavier than pluggy.
"""

from __future__ import annotations

from uploader_core.artifact import Artifact, ArtifactFile, Json, Receipt, UploadFile
from uploader_core.capability import Capability
from uploader_core.card_head import card_metadata, load_metadata, read_card, split_card
from uploader_core.chat_templates import (
    ChatTemplates,
    has_processor,
    processor_templates,
    tokenizer_templates,
)
from uploader_core.contract.context import (
    ArrivalContext,
    CleanUpContext,
    FetchedSource,
    GroupContext,
    PlanContext,
    ReleaseInfo,
    Section,
    SourceContext,
    UploadGroup,
    UseContext,
    VerifyContext,
)
from uploader_core.contract.costs import Estimate, Lever, Piece, Resources
from uploader_core.contract.hookspecs import hookimpl
from uploader_core.contract.output import OutputFolder
from uploader_core.contract.settings import setting
from uploader_core.contract.sources import Located, ReaderContext, Sources, is_local
from uploader_core.contract.specs import (
    API_VERSION,
    CardFacts,
    ConvertSpec,
    Diagnosis,
    DocumentSpec,
    ExecutorSpec,
    Finding,
    Hint,
    ReaderSpec,
    SaveSpec,
    SourceSpec,
    UploadSpec,
)
from uploader_core.contract.step_context import StepContext
from uploader_core.destinations.leftovers import Leftovers, find_leftovers, note_kept
from uploader_core.destinations.secrets import (
    Leak,
    find_secrets,
    refuse_secrets,
    secrets_in_sources,
)
from uploader_core.destinations.verification import Problem, Verification
from uploader_core.destinations.verify import (
    find_others,
    find_strangers,
    read_detached,
    read_manifest,
)
from uploader_core.disk.safe_write import CHUNK, HashingWriter, hash_file
from uploader_core.errors import (
    AuthError,
    CancelledError,
    IntegrityError,
    PluginError,
    RefusedError,
    SourceError,
    SpaceError,
    TemporaryError,
    UploaderError,
    UsageError,
)
from uploader_core.executor import (
    Executor,
    ExecutorContext,
    Job,
    JobResources,
    JobState,
    JobStatus,
)
from uploader_core.fidelity import SCHEMA as FIDELITY_SCHEMA
from uploader_core.home import from_home
from uploader_core.lineage import Lineage, read_lineage
from uploader_core.machine.folder_lock import hold
from uploader_core.machine.processes import end_tree, process_since
from uploader_core.machine.tail import read_tail
from uploader_core.machine.uncached import read_range
from uploader_core.masking import keep_secret
from uploader_core.model_files import (
    CONFIGS,
    RELEASE,
    leads_out,
    shards_of,
    small_files,
    weights_of,
    write_outline,
)
from uploader_core.model_licence import LICENCES, Licence, licence_of
from uploader_core.remembering import digests_of, is_remembering, remembered
from uploader_core.safetensors_header import (
    DTYPE_BITS,
    SafetensorsHeader,
    StoredTensor,
    read_header,
    tensor_bytes,
)
from uploader_core.secret_patterns import SecretPattern, secret_patterns, without_secrets
from uploader_core.size import Size
from uploader_core.untrusted_json import parse_json, read_json, read_object, read_text

__all__ = [
    "API_VERSION",
    "CHUNK",
    "CONFIGS",
    "DTYPE_BITS",
    "FIDELITY_SCHEMA",
    "LICENCES",
    "RELEASE",
    "ArrivalContext",
    "Artifact",
    "ArtifactFile",
    "AuthError",
    "CancelledError",
    "Capability",
    "CardFacts",
    "ChatTemplates",
    "CleanUpContext",
    "ConvertSpec",
    "Diagnosis",
    "DocumentSpec",
    "Estimate",
    "Executor",
    "ExecutorContext",
    "ExecutorSpec",
    "FetchedSource",
    "Finding",
    "GroupContext",
    "HashingWriter",
    "Hint",
    "IntegrityError",
    "Job",
    "JobResources",
    "JobState",
    "JobStatus",
    "Json",
    "Leak",
    "Leftovers",
    "Lever",
    "Licence",
    "Lineage",
    "Located",
    "OutputFolder",
    "Piece",
    "PlanContext",
    "PluginError",
    "Problem",
    "ReaderContext",
    "ReaderSpec",
    "Receipt",
    "RefusedError",
    "ReleaseInfo",
    "Resources",
    "SafetensorsHeader",
    "SaveSpec",
    "SecretPattern",
    "Section",
    "Size",
    "SourceContext",
    "SourceError",
    "SourceSpec",
    "Sources",
    "SpaceError",
    "StepContext",
    "StoredTensor",
    "TemporaryError",
    "UploadFile",
    "UploadGroup",
    "UploadSpec",
    "UploaderError",
    "UsageError",
    "UseContext",
    "Verification",
    "VerifyContext",
    "card_metadata",
    "digests_of",
    "end_tree",
    "find_leftovers",
    "find_others",
    "find_secrets",
    "find_strangers",
    "from_home",
    "has_processor",
    "hash_file",
    "hold",
    "hookimpl",
    "is_local",
    "is_remembering",
    "keep_secret",
    "leads_out",
    "licence_of",
    "load_metadata",
    "note_kept",
    "parse_json",
    "process_since",
    "processor_templates",
    "read_card",
    "read_detached",
    "read_header",
    "read_json",
    "read_lineage",
    "read_manifest",
    "read_object",
    "read_range",
    "read_tail",
    "read_text",
    "refuse_secrets",
    "remembered",
    "secret_patterns",
    "secrets_in_sources",
    "setting",
    "shards_of",
    "small_files",
    "split_card",
    "tensor_bytes",
    "tokenizer_templates",
    "weights_of",
    "without_secrets",
    "write_outline",
]


def __getattr__(name: str) -> object:
    if name.startswith("__"):  # asked for by every import
        raise AttributeError(name)
    from uploader_core import __version__
    from uploader_core.deprecations import public_name

    return public_name(name, version=__version__)
