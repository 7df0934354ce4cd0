"""One stream of events; renderers and the log listen to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uploader_core.artifact import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        type: ``run_started``, ``sources_hashed``, ``finding``, ``step_kept``, ``step_started``,
            ``step_progress``, ``step_job``, ``step_done``, ``step_failed``, ``step_skipped``,
            ``warning`` or ``run_finished``.
        step: Step id, or "".
        time: Seconds since the epoch.
        data: What goes with the type.
    """

    type: str
    step: str = ""
    time: float = 0.0
    data: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return {"type": self.type, "step": self.step, "time": round(self.time, 3), **self.data}


Listener = Callable[[Event], None]


class EventStream:
    """Hand events to every listener, one at a time, whatever thread they come from."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)
        self._guard = threading.Lock()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def emit(self, type: str, step: str = "", **data: Json) -> None:
        event = Event(type=type, step=step, time=time.time(), data=data)
        with self._guard:
            for listener in self._listeners:
                listener(event)

    def tick(self) -> None:
        """Give listeners that have a ``tick`` the occasion to show that time passes.

        Called a few times a second by the thread that called
        :func:`uploader_core.running.session.run`: notebooks take output from no other.
        """
        with self._guard:
            for listener in self._listeners:
                tick = getattr(listener, "tick", None)
                if tick is not None:
                    tick()


class EventFile:
    """Append events to ``events.jsonl``. A torn line is ignored by every reader.

    On a full disk events are lost: what the run came to is told by its steps, not by its log.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._torn = False

    def __call__(self, event: Event) -> None:
        if event.type == "step_progress":
            return
        line = ("\n" if self._torn else "") + json.dumps(event.to_json(), ensure_ascii=False) + "\n"
        data = line.encode("utf-8")
        try:
            self._torn = self._file.write(data) != len(data)
        except OSError:
            self._torn = True

    def close(self) -> None:
        self._file.close()
