"""The child process of one measurement: `python -m streamer.bench.worker` reads a Task and writes a Run, both as JSON.

Only what the kind of measurement needs is imported, so that the naive loop's memory is not ours and the other way
round. What goes wrong is one line on stderr, and the exit code is that of the error.
"""

from __future__ import annotations

import dataclasses
import sys

from streamer.bench.values import Machine, Run, Task, from_json, to_json
from streamer.errors import StreamerError


def main() -> int:
    """Measure what stdin asks for; return the exit code."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # whatever a library prints is not the answer
    try:
        answer = measured(from_json(Task, sys.stdin.read()))
    except StreamerError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    answers.write(to_json(answer) + "\n")
    answers.flush()
    return 0


def measured(task: Task) -> Run | Machine:
    """Measure, in this process."""
    if task.kind == "machine":
        from streamer.bench.machine import describe_machine
        from streamer.config import load_config

        return describe_machine(load_config(task.config, task.overrides, environment={}))
    run = _peer_run(task) if task.kind in ("ceiling", "naive", "reference") else _our_run(task)
    from streamer.bench.machine import peak_memory_mib

    return dataclasses.replace(run, peak_mib=peak_memory_mib())


def _peer_run(task: Task) -> Run:
    output = task.folder / "peer.mp4"
    if task.kind == "ceiling":
        from streamer.bench import ceiling
        from streamer.config import load_config

        sinks = load_config(task.config, task.overrides, environment={}).sinks
        quality = ceiling.Quality(sinks.video_preset, sinks.video_crf)
        return ceiling.measure(task.video, output, quality, task.end_seconds)
    from streamer.bench import naive

    if task.kind == "naive":
        if task.most_frames is None:
            raise AssertionError("the naive loop over a whole video would take an hour")
        return naive.measure(task.video, output, task.most_frames)
    return naive.detect(task.video, task.boxes, task.most_frames, task.end_seconds)


def _our_run(task: Task) -> Run:
    if task.kind == "profile":
        from streamer.bench.profiling import profile

        return profile(task)
    from streamer.bench import ours

    return ours.detect(task, task.boxes) if task.kind == "detect" else ours.process(task)


if __name__ == "__main__":
    sys.exit(main())
