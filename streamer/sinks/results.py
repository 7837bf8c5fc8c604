"""The results file: JSON lines, one a frame, written as they come, with one line a track and a summary at the end.

Every line reaches the system at once, so a run that is killed leaves all whole lines. Memory grows with the number of
tracks, not of frames.
"""

from __future__ import annotations

from pathlib import Path

from streamer.canvas import Canvas
from streamer.errors import SinkError, StreamerError
from streamer.sinks import results_lines as lines
from streamer.sinks.files import PartFile, check_suffix, part_path, write_error
from streamer.sinks.results_lines import Json, RunDescription
from streamer.sinks.results_names import FirstNames, named_from_the_first_frame
from streamer.sinks.rewriting import rewrite
from streamer.stats import RunStats
from streamer.types import Ending, FrameResult, SourceInfo

__all__ = ["RESULTS_SUFFIXES", "Json", "ResultsSink", "RunDescription"]

RESULTS_SUFFIXES = (".jsonl",)


class ResultsSink:
    """Writes what was found in every frame as JSON lines.

    Args:
        path: Ends in .jsonl; until it is finished the file is called NAME.part.jsonl.
        description: For the header line.
        stats: For the summary line; read when the sink is closed.

    Raises:
        SinkError: `path` has another ending.
    """

    needs_canvas = False

    def __init__(self, path: Path, *, description: RunDescription, stats: RunStats) -> None:
        check_suffix(path, RESULTS_SUFFIXES)
        self._path, self._description, self._stats = path, description, stats
        self._part: PartFile | None = None
        self._tallies: lines.Tallies | None = None
        self._names: FirstNames | None = None  # None: live, where a line stays as it was written
        self._error: SinkError | None = None
        self._has_frames = False

    def open(self, info: SourceInfo) -> None:
        """Make the part file and write the header line. Raises SinkError where that is not possible."""
        try:
            # Vectors and crops of faces are biometric data.
            self._part = PartFile(self._path, mode=None if self._description.embedder is None else 0o600)
        except OSError as error:
            self._error = write_error(self._path, error)
            raise self._error from error
        self._tallies = lines.Tallies(1 / info.declared_fps, keeps_looks=self._description.embedder is not None)
        self._names = None if info.is_live else FirstNames()
        self._write_line(lines.header(info, self._description))

    def write(self, result: FrameResult, canvas: Canvas | None) -> None:  # noqa: ARG002 (the Protocol has it)
        """Write the frame's line, and one for each of its events.

        Raises:
            SinkError: It cannot be written, now or since an earlier frame; the lines before it are whole.
        """
        self._write_line(lines.frame(result))
        self._has_frames = True
        for event in result.events:
            self._write_line(lines.event(event))
        assert self._tallies is not None
        self._tallies.add(result)
        if self._names is not None:
            self._names.add(result)

    def close(self, ending: Ending) -> None:
        """Write a line a track and the summary and, unless the run failed, give the file its final name.

        Of a file that is not live, the frames before a track's first name was known then get it, too.

        A run that ended before its first frame leaves nothing.

        Raises:
            SinkError: The end could not be written, or an earlier line could not and the run itself did not fail.
        """
        if self._error is not None and ending is not Ending.FAILED:
            raise self._error
        if self._part is None or self._tallies is None or self._error is not None:
            return
        if not self._has_frames and ending is not Ending.COMPLETE:
            self._part.remove()
            return
        for line in self._tallies.finish():
            self._write_line(line)
        self._write_line(lines.summary(self._stats.summary()))
        part, self._part = self._part, None
        try:
            part.keep()
            if ending is not Ending.FAILED:
                self._name_first_frames()
            if ending is Ending.COMPLETE:
                part.publish()
            elif ending is Ending.INTERRUPTED:
                part.publish_part()
        except OSError as error:
            self._error = write_error(self._path, error)
            raise self._error from error
        except StreamerError as error:  # of the rewriting; the part file is whole
            self._error = error if isinstance(error, SinkError) else SinkError(str(error))
            raise self._error from error

    def _name_first_frames(self) -> None:
        late = self._names.late if self._names is not None else {}
        if late:
            rewrite(part_path(self._path), lambda written: named_from_the_first_frame(written, late))

    def _write_line(self, line: Json) -> None:
        if self._error is not None:
            raise self._error
        if self._part is None:
            raise SinkError(f"cannot write {self._path}: it is not open")
        try:
            self._part.write(lines.encoded(line))
        except (OSError, ValueError) as error:
            self._error = (
                write_error(self._path, error)
                if isinstance(error, OSError)
                else SinkError(f"cannot write {self._path}: a result holds a number that is not finite; report this")
            )
            self._part.keep()
            raise self._error from error
