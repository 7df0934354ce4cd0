"""Run a plan: what is done already is kept, what can run does, what depends on a failure waits."""

from __future__ import annotations

import concurrent.futures
import contextlib
import graphlib
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from uploader_core.advice.step_times import load as load_pace
from uploader_core.advice.step_times import save as save_pace
from uploader_core.artifact import Artifact, Json, UploadFile
from uploader_core.contract.settings import to_json
from uploader_core.contract.specs import UploadSpec
from uploader_core.disk.safe_write import hash_file, write_json
from uploader_core.errors import CancelledError, IntegrityError, SpaceError, UploaderError
from uploader_core.lineage import fact_files
from uploader_core.machine import filesystems, gpu
from uploader_core.planning.plan import Plan, PlannedStep
from uploader_core.planning.preflight import open_virtual
from uploader_core.planning.present import Present
from uploader_core.planning.sources import STACK
from uploader_core.planning.step_request import make_request
from uploader_core.release.store import Record, ReleaseStore, canonical_digest, safe_name
from uploader_core.release.verify import NAME
from uploader_core.running.events import EventStream
from uploader_core.running.lanes import Lanes
from uploader_core.running.manifest import build_manifest, describe
from uploader_core.running.report import Outcome, Report
from uploader_core.running.run_hooks import RunHooks
from uploader_core.untrusted_json import as_json
from uploader_core.workers import child
from uploader_core.workers.messages import Progress, RunStep, RunUpload, StepRequest, Warned
from uploader_core.workers.pool import Workers

R = TypeVar("R")

_TICK = 0.25
"""Seconds between two occasions to show that time passes."""


@dataclass
class Runner:
    """One run over an open release folder.

    Args:
        plan: Planned and prepared.
        store: The release folder, opened.
        events: Where events go.
        workers: The run's worker processes.
        jobs: Places in the ``cpu`` lane.
        fail_fast: Start nothing new after the first failure.
        checksum: Read everything that is there already instead of believing sizes and times.
    """

    plan: Plan
    store: ReleaseStore
    events: EventStream
    workers: Workers
    jobs: int = 1
    fail_fast: bool = False
    checksum: bool = False
    _sources: dict[str, Artifact] = field(default_factory=dict)
    _virtual: dict[str, Artifact] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _records: dict[str, Record] = field(default_factory=dict)
    _believed: set[str] = field(default_factory=set)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _took: dict[str, float] = field(default_factory=dict)

    def survey(self, *, may_read: bool = True) -> set[str]:
        """Find the steps that need not run.

        Args:
            may_read: False looks only at what is remembered; for a plan, which reads no weights.

        Returns:
            Ids of steps whose record holds, virtual steps among them.
        """
        if self.checksum:
            self.store.forget_digests()
        for kind, artifact in self.plan.sources.artifacts.items():
            if not any(f"source:{kind}" in step.inputs for step in self.plan.steps):
                continue
            filled = self.store.fill(artifact, may_read=False, tick=lambda *_: None)
            if filled is None and may_read:
                self._warm_up()
                filled = self.store.fill(artifact, may_read=True, tick=self._hashed)
            if filled is None:
                return set()
            self._sources[kind] = filled
        if may_read:
            self.store.save_digests()
        kept: set[str] = set()
        for step in self.plan.steps:
            if not all(i.startswith("source:") or i in kept for i in step.inputs):
                continue
            key = self._key(step)
            if step.is_virtual:
                self._virtual[step.id] = open_virtual(self.plan, step, self._inputs(step))
                kept.add(step.id)
                continue
            record = self.store.current(step.id, key, read=self.checksum)
            if record is not None:
                if not self.checksum:
                    self._believed.add(step.id)
                self._records[step.id] = record
                kept.add(step.id)
        return kept

    def present(self, kept: set[str]) -> Present:
        """Tell what of the steps that have to run is in the release folder already."""
        finished, replaced = {}, {}
        for step in self.plan.artifacts:
            if step.id in kept or step.folder is None:
                continue
            old = self.store.record(step.id)
            if old is not None and old.artifact is not None:
                replaced[step.id] = old.artifact.size
            # Without the digests of everything before it a step has no key.
            if all(i in self._sources or i in self._known() for i in _names(step)):
                finished[step.id] = self.store.finished(step.id, self._key(step), step.folder)
        made = {
            step_id: tuple((file.name, file.size) for file in record.artifact.files)
            for step_id, record in self._records.items()
            if step_id in kept and record.artifact is not None
        }
        return Present(
            made=made, finished=finished, replaced=replaced, left_over=self.store.left_over()
        )

    def remember_pace(self) -> None:
        """Keep how long the steps took that did all of their work in this run."""
        known = pace = load_pace()
        for step_id, seconds in self._took.items():
            pace = pace.learn(self.plan.step(step_id), seconds)
        if pace is not known:
            save_pace(pace)

    def execute(self, kept: set[str]) -> Report:
        """Run every step that is not kept.

        Raises:
            CancelledError: The user stopped the run; finished steps are recorded.
        """
        started = time.monotonic()
        outcomes: dict[str, Outcome] = {}
        for step in self.plan.steps:
            if step.id in kept:
                record = self._records.get(step.id)
                outcomes[step.id] = Outcome(step=step.id, status="kept", record=record)
                self.events.emit("step_kept", step.id)
        hooks = RunHooks(self.plan, self.events)
        hooks.observe("uploader_run_started", plan=self.plan)
        self._schedule(outcomes, hooks)
        report = Report(
            plan=self.plan,
            outcomes={s.id: outcomes[s.id] for s in self.plan.steps},
            seconds=time.monotonic() - started,
            manifest=self._write_manifest(),
        )
        hooks.observe("uploader_run_finished", report=report)
        return report

    def _known(self) -> set[str]:
        return {*self._keys, *self._records}

    # -- scheduling --------------------------------------------------------------------------

    def _warm_up(self) -> None:
        """Let the first step's worker import what it needs while sources are hashed."""
        for step in self.plan.steps:
            spec = step.spec
            plain = not (step.is_virtual or isinstance(spec, UploadSpec))
            if plain and spec.isolation == "process":
                self.workers.warm(spec.run, step.plugin.entry.owner)
                return

    def _schedule(self, outcomes: dict[str, Outcome], hooks: RunHooks) -> None:
        todo = {s.id: s for s in self.plan.steps if s.id not in outcomes}
        sorter = graphlib.TopologicalSorter(
            {s.id: [i for i in s.inputs if i in todo] for s in todo.values()}
        )
        sorter.prepare()
        rank = {step_id: n for n, step_id in enumerate(todo)}
        lanes = Lanes(self.jobs)
        waiting: list[str] = []
        running: dict[concurrent.futures.Future[Outcome], str] = {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(8, self.jobs + 4)) as pool:
            try:
                while sorter.is_active():
                    waiting = sorted([*waiting, *sorter.get_ready()], key=rank.__getitem__)
                    for step_id in list(waiting):
                        blocker = self._blocker(todo[step_id], outcomes)
                        if blocker is not None:
                            waiting.remove(step_id)
                            outcomes[step_id] = self._skip(step_id, blocker)
                            sorter.done(step_id)
                        elif lanes.take(todo[step_id]):
                            waiting.remove(step_id)
                            future = pool.submit(self._one, todo[step_id], hooks)
                            running[future] = step_id
                    if not running:
                        continue
                    # With a limit: time is shown to pass, and Windows lets Ctrl-C through.
                    finished, _ = concurrent.futures.wait(
                        running, _TICK, return_when=concurrent.futures.FIRST_COMPLETED
                    )
                    self.events.tick()
                    for future in finished:
                        step_id = running.pop(future)
                        lanes.give_back(todo[step_id])
                        outcomes[step_id] = future.result()
                        sorter.done(step_id)
            except BaseException:
                self.workers.stop()
                raise

    def _blocker(self, step: PlannedStep, outcomes: Mapping[str, Outcome]) -> str | None:
        for source in step.inputs:
            if source in outcomes and outcomes[source].status in ("failed", "skipped"):
                return source
        if self.fail_fast:
            return next((o.step for o in outcomes.values() if o.status == "failed"), None)
        return None

    def _skip(self, step_id: str, blocker: str) -> Outcome:
        self.events.emit("step_skipped", step_id, because=blocker)
        return Outcome(step=step_id, status="skipped", because=blocker)

    def _one(self, step: PlannedStep, hooks: RunHooks) -> Outcome:
        self.events.emit("step_started", step.id, kind=step.kind, summary=step.spec.summary)
        started = time.monotonic()
        try:
            result = hooks.execute(step, self)
            record = result if isinstance(result, Record) else None
            outcome = Outcome(step=step.id, status="done", record=record)
            self.events.emit("step_done", step.id, seconds=round(time.monotonic() - started, 3))
        except CancelledError:
            raise
        except UploaderError as error:
            full = self._with_needs(error, step) if isinstance(error, SpaceError) else error
            if isinstance(error, IntegrityError):
                with contextlib.suppress(UploaderError):  # what it finds, the next run makes anew
                    self._read_inputs(step)
            full = hooks.with_hints(full)
            outcome = Outcome(step=step.id, status="failed", error=full)
            self.events.emit("step_failed", step.id, **full.to_json())
        except Exception as error:
            wrapped = UploaderError(
                f"{step.id}: {type(error).__name__}: {error}", owner="uploader-core"
            )
            outcome = Outcome(step=step.id, status="failed", error=wrapped)
            self.events.emit("step_failed", step.id, **wrapped.to_json())
        hooks.observe("uploader_step_finished", step=step, outcome=outcome)
        return outcome

    # -- one step ----------------------------------------------------------------------------

    def perform(self, step: PlannedStep) -> Record | None:
        """Run one step and commit its record; core's implementation of ``uploader_execute``."""
        inputs = self._inputs(step)
        if step.is_virtual:
            self._virtual[step.id] = open_virtual(self.plan, step, inputs)
            return None
        is_upload = isinstance(step.spec, UploadSpec)
        key = self._key(step)
        folder = step.folder or ""
        # An upload compares what it sends; a document that measures nothing says what records say.
        if not is_upload and not step.tells:
            self._read_inputs(step)
        self.store.claim(folder)
        whole = not self.store.finished(step.id, key, folder)
        if step.gpu_memory:
            gpu.wait_for(
                step.gpu_memory,
                lambda what: self._say(step, what),
                stopped=lambda: self.workers.stopped,
            )
        started = time.monotonic()
        work = self.store.work(step.id)
        artifact, receipt = None, None
        place = self.store.root / folder
        try:
            if is_upload:
                files = tuple(self._upload_files(step))
                upload = make_request(
                    RunUpload, self.plan, step, inputs, output=place, work=work, files=files
                )
                receipt = self._send(step, upload)
            else:
                units = self.store.units(step.id, key)
                making = make_request(
                    RunStep, self.plan, step, inputs, output=place, work=work, units=units
                )
                artifact = self._send(step, making)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        record = Record(
            step=step.id,
            key=key,
            folder=folder,
            artifact=artifact,
            receipt=receipt,
            stats={} if artifact is None else self.store.stats_of(artifact),
            about=describe(self.plan, step.id),
            seconds=time.monotonic() - started,
        )
        self.store.save(record)
        self._records[step.id] = record
        if whole:
            self._took[step.id] = record.seconds
        return record

    def _read_inputs(self, step: PlannedStep) -> None:
        """Hash what an earlier run made before it is used: a disk changes bits and no times.

        Raises:
            IntegrityError: A file is not what was recorded; it was set aside.
        """

        def tick(size: int) -> None:
            if self.workers.stopped:
                raise CancelledError("stopped", safe="every finished step is kept")
            self._say(step, f"reading {source} again", size, "bytes")

        with self._reading:  # steps side by side may need the same
            for source in step.inputs:
                if source not in self._believed:
                    continue
                record = self._records[source]
                if self.store.current(source, record.key, read=True, tick=tick) is None:
                    raise IntegrityError(
                        f"a file of {source} changed since it was recorded",
                        owner=f"the disk, or whoever wrote in {self.store.root / record.folder}",
                        safe=f"it was set aside in {self.store.quarantine}",
                        next="run the same command again; the file will be made anew",
                    )
                self._believed.discard(source)

    def _with_needs(self, error: SpaceError, step: PlannedStep) -> SpaceError:
        """Say how much more the step needs, beside what is free now that its scratch is gone."""
        what = error.what
        needs = dict(step.estimate.elsewhere)
        if step.folder is not None and step.estimate.tightest:
            finished = self.store.finished(step.id, self._key(step), step.folder)
            needs[str(self.store.root)] = step.estimate.tightest - finished
        for folder, needed in needs.items():
            free = filesystems.free_bytes(Path(folder)) or 0
            what += f"; to finish it needs {needed:,} bytes, and {free:,} bytes are free now"
        return error.replace(what=what)

    def _say(self, step: PlannedStep, what: str, done: int = 0, unit: str = "steps") -> None:
        data: dict[str, Json] = {"what": what, "done": done, "total": None, "unit": unit}
        self.events.emit("step_progress", step.id, **data)

    def _send(self, step: PlannedStep, request: StepRequest[R]) -> R:
        def emit(message: Progress | Warned) -> None:
            type_ = "step_progress" if isinstance(message, Progress) else "warning"
            self.events.emit(type_, step.id, **as_json(message))

        if step.spec.isolation == "inline":
            return child.perform(request, emit, lambda: self.workers.stopped)
        return self.workers.perform(request, emit)

    def _inputs(self, step: PlannedStep) -> tuple[Artifact, ...]:
        found = []
        for source in step.inputs:
            if source.startswith("source:"):
                found.append(self._sources[source.removeprefix("source:")])
            elif source in self._virtual:
                found.append(self._virtual[source])
            else:
                found.append(self._records[source].made)
        return tuple(found)

    def _key(self, step: PlannedStep) -> str:
        """Digest everything that a step's result depends on."""
        if step.id not in self._keys:
            inputs: list[Json] = []
            for source in step.inputs:
                if source in self._keys and source not in self._records:
                    inputs.append(self._keys[source])
                    continue
                kind = source.removeprefix("source:")
                artifact = self._sources.get(kind) if kind != source else None
                if artifact is None:
                    artifact = self._records[source].made
                inputs.append([[f.name, f.sha256] for f in artifact.files])
                if kind == STACK:
                    inputs.append(artifact.metadata["adapters"])
            entry = step.plugin.entry
            # A measurement holds wherever the model goes and whatever is said of it.
            self._keys[step.id] = canonical_digest(
                {
                    "step": step.id,
                    "run": step.spec.run,
                    "distribution": entry.distribution,
                    "version": entry.version,
                    "settings": to_json(step.settings),
                    "inputs": inputs,
                    "release": self.plan.release.name,
                    "base": None
                    if step.measures
                    else [
                        self.plan.release.base_model,
                        self.plan.release.base_is_hub_id,
                        self.plan.release.base_revision,
                    ],
                    "leave_behind": [*sorted(self.plan.release.leave_behind)],
                    "facts": self._facts() if step.tells else None,
                    "model_id": self.plan.model_id_of(step),
                    "sections": [
                        [r.spec.run, r.kind, r.plugin.entry.version, to_json(r.settings)]
                        for r in step.sections
                    ],
                    "target": [step.destination, step.target],
                }
            )
        return self._keys[step.id]

    def _facts(self) -> list[Json]:
        """Digest what documents may draw on: a changed README of the source makes a new card."""
        folders = {kind: artifact.path for kind, artifact in self.plan.sources.artifacts.items()}
        return [[path.name, hash_file(path)[1]] for path in fact_files(folders)]

    # -- manifest and uploads ----------------------------------------------------------------

    def _upload_files(self, step: PlannedStep) -> list[UploadFile]:
        """List what shall arrive: the artifacts' files, their documents, and a manifest of it."""
        files: dict[str, UploadFile] = {}
        for source in step.inputs:
            record = self._records[source]
            artifact = record.made
            folder = "" if step.flatten or record.folder == "." else record.folder + "/"
            for file in artifact.files:
                name = folder + file.name
                if name in files:
                    raise IntegrityError(
                        f"two files want to be {name} at {step.destination}",
                        owner=f"{files[name].kind} and {artifact.kind}",
                        next="ask for a layout that keeps the formats apart",
                    )
                files[name] = UploadFile(
                    name=name,
                    path=artifact.path / file.name,
                    size=file.size,
                    sha256=file.sha256,
                    role=file.role,
                    kind=artifact.kind,
                )
        manifest = self._manifest(step.inputs, flatten=step.flatten)
        path = self.store.internal / "manifests" / safe_name(step.id) / NAME
        digest = write_json(path, manifest)
        files[NAME] = UploadFile(
            name=NAME,
            path=path,
            size=path.stat().st_size,
            sha256=digest,
            role="document",
            kind="document",
        )
        return list(files.values())

    def _manifest(self, steps: tuple[str, ...], *, flatten: bool = False) -> dict[str, Json]:
        return build_manifest(self.plan, self._sources, self._records, steps, flatten=flatten)

    def _write_manifest(self) -> Path | None:
        made = tuple(
            s.id
            for s in self.plan.steps
            if s.id in self._records and self._records[s.id].artifact is not None
        )
        if not made:
            return None
        path = self.store.root / NAME
        manifest = self._manifest(made)
        manifest["publications"] = [
            # How much went over the wire depends on what was there before.
            {name: value for name, value in receipt.items() if name != "bytes_sent"}
            for s in self.plan.uploads
            if s.id in self._records and (receipt := self._records[s.id].receipt) is not None
        ]
        write_json(path, manifest)
        return path

    def _hashed(self, name: str, size: int) -> None:
        self.events.emit("sources_hashed", "", file=name, size=size)


def _names(step: PlannedStep) -> list[str]:
    """Return a step's inputs as sources and steps are known by."""
    return [i.removeprefix("source:") for i in step.inputs]
