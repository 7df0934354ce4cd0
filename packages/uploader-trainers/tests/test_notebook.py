"""A notebook, executed by a real kernel."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from uploader_kit.job_runs import until
from uploader_kit.job_steps import Marks

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def notebook(*cells: str) -> Any:
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    return book


def cell_of(model: Path, output: Path, held: Marks) -> str:
    return (
        f"release = run({str(model)!r}, plugins='lora,held', output={str(output)!r},\n"
        f"              held_marks={str(held.folder)!r}, held_waits_at='two.bin')\nrelease"
    )


def shown(cell: Any) -> list[str]:
    """Return every HTML output of a cell."""
    outputs = [o for o in cell.outputs if o.output_type in ("display_data", "execute_result")]
    return [o.data["text/html"] for o in outputs if "text/html" in o.data]


IMPORT = "from uploader_trainers import plan, run"


@pytest.mark.filterwarnings("ignore")  # of the notebook's own libraries
def test_interrupted_kernel_leaves_a_run_that_goes_on(
    sft_model: Path, tmp_path: Path, held: Marks
) -> None:
    output = tmp_path / "release"
    cell = cell_of(sft_model, output, held)
    plan_cell = cell.replace("release = run", "preview = plan").replace("\nrelease", "\npreview")
    book = notebook(IMPORT, plan_cell, cell, cell)
    client = nbclient.NotebookClient(
        book, timeout=300, startup_timeout=300, iopub_timeout=300, kernel_name="python3"
    )
    with client.setup_kernel():
        client.execute_cell(book.cells[0], 0)
        client.execute_cell(book.cells[1], 1)
        (preview,) = shown(book.cells[1])
        assert "held" in preview and "<table>" in preview

        kernel = client.km.provisioner.process.pid
        interrupter = threading.Thread(target=interrupt, args=(kernel, held), daemon=True)
        interrupter.start()
        with pytest.raises(nbclient.exceptions.CellExecutionError, match="KeyboardInterrupt"):
            client.execute_cell(book.cells[2], 2)
        interrupter.join()
        assert (output / "lora" / "adapter_model.safetensors").is_file()
        assert not list(output.rglob("two.bin"))

        held.let_go()
        client.execute_cell(book.cells[3], 3)
    progress, result = shown(book.cells[3])
    # One display, which was replaced and now says that everything is done.
    assert "kept" in progress and "held:held" in progress and "running" not in progress
    assert "done and verified" in result
    assert (output / "acme.held" / "three.bin").is_file()
    events = read(output / ".uploader" / "events.jsonl")
    assert "lora:lora" in [e["step"] for e in events if e["type"] == "step_kept"]


def read(events: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in events.read_text("utf-8").splitlines()]


def interrupt(kernel: int, held: Marks) -> None:
    """Interrupt the kernel as Jupyter's stop button does, while the step waits to be let go."""
    until(lambda: held.of("waiting"), 300, "the step does not begin")
    os.killpg(os.getpgid(kernel), signal.SIGINT)
