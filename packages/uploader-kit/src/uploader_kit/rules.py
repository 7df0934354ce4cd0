"""The rules of the kit: each has a number that stays, and a tier that it is part of.

``docs/reference/rules.md`` says of each what it is about; a number is never given to another rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from uploader_core.contract.specs import (
    ConvertSpec,
    DocumentSpec,
    ExecutorSpec,
    SaveSpec,
    UploadSpec,
)

Tier = Literal["bronze", "silver", "gold", "platinum"]
TIERS: tuple[Tier, ...] = ("bronze", "silver", "gold", "platinum")
"""From what every plugin must do to what costs an author some care."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        number: ``R101``; the first digit says what it is about.
        check: Name of the check in the test class.
        tier: The lowest tier that needs it.
    """

    number: str
    check: str
    tier: Tier


def _rules(first: int, checks: Iterable[tuple[str, Tier]]) -> tuple[Rule, ...]:
    return tuple(
        Rule(number=f"R{number}", check=f"test_{check}", tier=tier)
        for number, (check, tier) in enumerate(checks, first)
    )


_PLUGIN = _rules(
    101,
    (
        ("entry_point_resolves", "bronze"),
        ("core_is_required_up_to_the_next_major", "silver"),
        ("import_is_light", "silver"),
        ("nothing_private_of_core_is_imported", "silver"),
        ("specs_are_valid", "bronze"),
        ("advertised_names_match", "bronze"),
        ("settings_have_help_and_survive_every_way_in", "bronze"),
    ),
)
_MAKING = _rules(
    201,
    (
        ("step_runs_in_a_worker", "bronze"),
        ("manifest_matches_files", "bronze"),
        ("nothing_is_written_elsewhere", "bronze"),
        ("no_network_is_used", "bronze"),
        ("programs_that_it_starts_write_nothing_elsewhere", "platinum"),
        ("programs_that_it_starts_use_no_network", "platinum"),
        ("same_input_gives_the_same_bytes", "silver"),
        ("nothing_about_this_machine_is_told", "silver"),
        ("killed_and_run_again_it_gives_the_same_bytes", "silver"),
        ("finished_files_are_kept_after_a_kill", "gold"),
        ("cancelled_step_says_so", "silver"),
        ("failure_names_the_plugin", "silver"),
        ("check_and_estimate_answer", "bronze"),
        ("check_and_estimate_write_nothing", "silver"),
        ("estimate_is_about_right", "gold"),
        ("every_variant_is_made_alone_and_together", "silver"),
        ("how_to_run_it_is_said", "silver"),
        ("pieces_of_several_workers_give_the_same_bytes", "silver"),
    ),
)
_DOCUMENT = _rules(
    301,
    (
        ("document_is_written", "bronze"),
        ("document_tells_nothing_about_this_machine", "silver"),
        ("document_is_the_same_the_second_time", "silver"),
        ("document_of_an_unknown_artifact_does_not_fail", "silver"),
        ("nothing_is_written_elsewhere_and_no_network_is_used", "bronze"),
    ),
)
_UPLOAD = _rules(
    401,
    (
        ("everything_arrives", "bronze"),
        ("nothing_else_is_left_at_the_destination", "gold"),
        ("release_folder_is_left_alone", "bronze"),
        ("documents_are_sent_last", "silver"),
        ("destination_is_listed_before_the_receipt", "silver"),
        ("second_upload_sends_nothing", "silver"),
        ("lost_connections_are_survived", "gold"),
        ("killed_upload_is_completed", "silver"),
        ("interrupted_upload_leaves_nothing_torn", "gold"),
        ("second_release_replaces_the_first", "gold"),
        ("replaced_release_is_not_kept", "gold"),
        ("damage_at_the_destination_is_noticed", "silver"),
        ("file_that_changed_is_refused", "bronze"),
        ("secrets_are_not_told", "bronze"),
        ("secrets_stay_in_the_upload", "gold"),
        ("check_answers", "bronze"),
        ("declared_capabilities_are_true", "gold"),
        ("verification_tells_damage", "gold"),
        ("stopped_upload_leaves_nothing_open", "gold"),
        ("wrong_secret_is_an_auth_error", "silver"),
        ("absent_server_is_temporary", "silver"),
        ("secret_in_a_text_is_not_published", "silver"),
    ),
)
_EXECUTOR = _rules(
    501,
    (
        ("job_that_succeeds_gives_its_files", "bronze"),
        ("command_that_fails_is_told", "bronze"),
        ("error_of_a_step_arrives_as_it_is", "bronze"),
        ("killed_job_is_replaced", "bronze"),
        ("run_that_was_killed_finds_its_jobs", "silver"),
        ("cancelled_run_leaves_nothing_running", "bronze"),
        ("job_that_takes_too_long_is_ended", "silver"),
        ("job_that_is_submitted_twice_is_done_once", "silver"),
        ("two_runs_of_one_plan_share_the_work", "silver"),
        ("impossible_resources_are_refused_with_a_reason", "silver"),
        ("many_jobs_run_at_most_two_at_once", "silver"),
        ("no_secret_reaches_a_job", "bronze"),
        ("last_lines_of_a_job_can_be_read", "silver"),
        ("store_that_goes_away_is_told", "gold"),
    ),
)
RULES = (*_PLUGIN, *_MAKING, *_DOCUMENT, *_UPLOAD, *_EXECUTOR)
BY_CHECK: Mapping[str, Rule] = {rule.check: rule for rule in RULES}

ABOUT: Mapping[str, tuple[Rule, ...]] = {
    "plugin": _PLUGIN,
    SaveSpec.__name__: (*_PLUGIN, *_MAKING),
    ConvertSpec.__name__: (*_PLUGIN, *_MAKING),
    DocumentSpec.__name__: (*_PLUGIN, *_DOCUMENT),
    UploadSpec.__name__: (*_PLUGIN, *_UPLOAD),
    ExecutorSpec.__name__: (*_PLUGIN, *_EXECUTOR),
}
"""The rules that hold for a class, by the type of its spec."""


def number_of(check: str) -> str:
    """Return the number of the rule that a check of this name tries; "" for an author's own."""
    rule = BY_CHECK.get(check)
    return "" if rule is None else rule.number
