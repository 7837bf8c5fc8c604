"""Makes the file of the population model that the package ships; see recognition/population_fit.py.

Run as `python -m streamer.evaluation.population FOLDER OUT.safetensors`, with one folder a person in FOLDER, of whom
the first picture that shows a face is taken.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from streamer.build import Models
from streamer.config import Config
from streamer.enrolling import EnrolmentChoices, photo_reader
from streamer.errors import GalleryError, StreamerError, UsageError
from streamer.recognition.people_folders import find_people
from streamer.recognition.photo_reader import RefusedError, largest_face
from streamer.recognition.population import Population
from streamer.recognition.population_fit import FEWEST_PEOPLE, fit_population
from streamer.types import Float32


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit a population and write it; return the exit code, a known error is one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m streamer.evaluation.population", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="one folder a person")
    parser.add_argument("target", type=Path, metavar="OUT.safetensors", help="the file to write; it must not exist")
    options = parser.parse_args(arguments)
    try:
        if options.target.exists():
            raise UsageError(f"the output {options.target} exists already; name another file or remove it")
        vectors = _first_pictures(options.folder)
        if len(vectors) < FEWEST_PEOPLE:
            raise GalleryError(f"{len(vectors)} people with a usable picture are too few; give {FEWEST_PEOPLE} or more")
        population = fit_population(vectors)
    except StreamerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    save_file({name: getattr(population, name) for name in Population.__slots__}, options.target)
    return 0


def _first_pictures(root: Path) -> Float32:
    """Return the (N, D) vectors of each person's first picture that shows a face."""
    reader = photo_reader(Models(Config()), EnrolmentChoices(largest_face, accept_doubtful=True))
    vectors = []
    for person in find_people(root).people:
        for path in person.paths:
            try:
                vectors.append(reader.read(path).vector)
                break
            except RefusedError:
                continue
    return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)


if __name__ == "__main__":
    sys.exit(main())
