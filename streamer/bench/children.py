"""Starts the child process of a measurement, waits for its answer, and never leaves one behind."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.bench.values import Machine, Run, Task, from_json, to_json
from streamer.errors import SinkError, SourceError, StreamerError, UsageError, WeightsError

_WORKER = (sys.executable, "-m", "streamer.bench.worker")
_ERRORS = {error.exit_code: error for error in (UsageError, SourceError, WeightsError, SinkError)}


@dataclasses.dataclass(frozen=True, slots=True)
class Children:
    """How children are run.

    Attributes:
        timeout_seconds: After which a child is killed and its measurement has failed.
        program: What is started; it reads a Task from stdin and answers on stdout.
    """

    timeout_seconds: float = 900.0
    program: tuple[str, ...] = _WORKER

    def measure(self, task: Task) -> Run:
        """Return what the child of `task` measured, beside how long it took from start to end.

        Raises:
            StreamerError: It failed or took too long; of the class that the child's error had.
        """
        began_at = time.perf_counter()
        run = from_json(Run, self._answer(task))
        return dataclasses.replace(run, command_seconds=time.perf_counter() - began_at)

    def describe_machine(self, task: Task) -> Machine:
        """Return what the child of a `machine` task tells. Raises StreamerError as `measure` does."""
        return from_json(Machine, self._answer(task))

    def _answer(self, task: Task) -> str:
        with subprocess.Popen(  # noqa: S603  our own interpreter with our own module
            self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as child:
            try:
                answer, complaints = child.communicate(to_json(task), timeout=self.timeout_seconds)
            except subprocess.TimeoutExpired:
                raise StreamerError(
                    f"measuring {task.kind} of {task.video.name} took more than {self.timeout_seconds:g} s and was "
                    "ended; measure a shorter video, or less of it with --seconds"
                ) from None
            finally:
                child.kill()  # also on Ctrl-C; one that has ended does not mind
        if child.returncode != 0:
            last = complaints.strip().splitlines()[-1:] or [f"it ended with code {child.returncode}"]
            raise _ERRORS.get(child.returncode, StreamerError)(f"measuring {task.kind} failed: {last[0]}")
        return answer


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a private folder that is gone afterwards, whatever happened."""
    folder = Path(tempfile.mkdtemp(prefix="streamer-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """Give a folder for one child's outputs, which are removed afterwards: a disk holds few long videos."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
