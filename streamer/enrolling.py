"""What the commands for people do, importable: photos, videos and cameras to people, strangers to thresholds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer import build
from streamer.config import Config
from streamer.errors import GalleryError, SourceLostError, UsageError, printable
from streamer.photos import PICTURE_SUFFIXES
from streamer.pictures import BgrPicture
from streamer.recognition.enrol import Enrolment, EnrolmentReport, OnPhoto, check_all_enrolled
from streamer.recognition.gallery import Gallery, edit_gallery, load_or_empty
from streamer.recognition.import_journal import ImportJournal
from streamer.recognition.people import clean_name
from streamer.recognition.people_folders import PeopleFolder, PersonPhotos, Still, find_pictures
from streamer.recognition.photo_reader import ChooseFace, PhotoReader, RefusedError, largest_face, no_face, open_photo
from streamer.recognition.thresholds import with_strangers
from streamer.recorded_tracks import read_tracks
from streamer.types import Float32

# A person who turns their head shows another side after about so long; a minute of that is plenty.
_STILL_EVERY_SECONDS = 0.5
_MOST_STILLS = 120
_CAMERA_STILLS = 20
_MOST_LOST_SECONDS = 5.0  # for which the person waits in front of a camera that is gone


@dataclass(frozen=True, slots=True)
class EnrolmentChoices:
    """How photos are judged.

    Attributes:
        choose: Asked where a photo shows several faces.
        accept_doubtful: Take also faces that are blurred, dark or turned, and photos that look like somebody else.
        skip_unusable: Enrol the others where none of a person's photos can be used, in place of nobody.
    """

    choose: ChooseFace = no_face
    accept_doubtful: bool = False
    skip_unusable: bool = False


def enrol_into(
    config: Config,
    folder: PeopleFolder,
    choices: EnrolmentChoices,
    *,
    models: build.Models | None = None,
    on_photo: OnPhoto | None = None,
) -> tuple[EnrolmentReport, Gallery]:
    """Enrol people's photos into the configured gallery, all or nobody; one that was stopped goes on where it was.

    Args:
        config: The settings.
        folder: Whose photos.
        choices: How they are judged.
        models: Nets that are loaded already; None: load them.
        on_photo: Called with each photo's report as it is looked at; what it raises ends this.

    Returns:
        What became of the photos, and the gallery as it is now.

    Raises:
        GalleryError: A person has no usable photo, or the gallery cannot be read or written; it is as it was before.
    """
    path, embedder_id = config.recognition.gallery_path, build.embedder_id(config)
    known = load_or_empty(path, embedder_id)  # what is wrong with it is told before the nets are loaded
    models = models if models is not None else build.Models(config)
    reader = photo_reader(models, choices)
    settings = f"{config.detector.score_threshold} {config.detector.min_face_pixels} {_settings(choices)}"
    with ImportJournal(path, embedder_id, settings, models.embedder.dimension) as journal:
        enrolment = Enrolment(reader, known, journal, choices.accept_doubtful, on_photo)
        report = enrolment.enrol(folder)
    if not choices.skip_unusable:
        check_all_enrolled(report)
    if not report.gallery.people:
        journal.discard()
        return report, known
    return report, edit_gallery(path, embedder_id, lambda current: current.merged_with(report.gallery))


def _settings(choices: EnrolmentChoices) -> str:
    """Return what of the choices an answer depends on; who is asked may answer anew."""
    chosen = "largest" if choices.choose is largest_face else "one" if choices.choose is no_face else "asked"
    return f"{chosen} {'all' if choices.accept_doubtful else 'fit'}"


def photo_reader(models: build.Models, choices: EnrolmentChoices) -> PhotoReader:
    """Return what makes vectors of photos."""
    return PhotoReader(models.photo_detector(), models.embedder, choices.choose, accept_faults=choices.accept_doubtful)


def person_of(name: str, paths: Sequence[Path], config: Config, camera: str | None = None) -> PersonPhotos:
    """Gather one person's pictures: photos, those in folders, and a picture every half second of videos or a camera.

    Raises:
        GalleryError: The name is none, or there is nothing to gather.
        SourceError: A video or the camera cannot be read.
    """
    cleaned = clean_name(name)
    given = [inside for path in paths for inside in (find_pictures(path) if path.is_dir() else (path,))]
    photos = tuple(path for path in given if path.suffix.lower() in PICTURE_SUFFIXES)
    stills = [still for path in given if path not in photos for still in _stills_of(path, config)]
    if camera is not None:
        stills += _camera_stills(camera, config)
    if not photos and not stills:
        raise GalleryError(f"there is no picture of {printable(cleaned)}; give photos, a video, or --camera 0")
    return PersonPhotos(cleaned, photos, tuple(stills))


def _stills_of(path: Path, config: Config) -> Iterator[Still]:
    source = build.open_source(path, config)
    try:
        next_seconds, count = 0.0, 0
        while count < _MOST_STILLS and (frame := source.read()) is not None:
            if frame.pts_seconds >= next_seconds:
                label = f"{printable(path.name)} @ {frame.pts_seconds:.1f} s"
                yield Still(label, BgrPicture(frame.picture.bgr()))
                next_seconds, count = frame.pts_seconds + _STILL_EVERY_SECONDS, count + 1
    finally:
        source.close()


def _camera_stills(camera: str, config: Config) -> Iterator[Still]:
    """Yield what a camera sees for ten seconds; what came before it was lost is good."""
    source = build.open_camera(camera, config, give_up_seconds=_MOST_LOST_SECONDS)
    try:
        next_seconds, count = 0.0, 0
        while count < _CAMERA_STILLS and (frame := source.read()) is not None:
            if frame.pts_seconds >= next_seconds:
                next_seconds, count = frame.pts_seconds + _STILL_EVERY_SECONDS, count + 1
                yield Still(f"camera {printable(Path(camera).name)} #{count}", BgrPicture(frame.picture.bgr()))
    except SourceLostError:
        return
    finally:
        source.close()


def calibrate_gallery(
    config: Config,
    strangers: Path | None,
    *,
    models: build.Models | None = None,
    on_picture: Callable[[Path, str | None], None] | None = None,
) -> Gallery:
    """Work out the thresholds of the configured gallery anew.

    Args:
        config: The settings.
        strangers: Pictures of people who are not in it, to whom thresholds are adapted; None: those of before.
        models: Nets that are loaded already; None: load them.
        on_picture: Called with each picture of a stranger, and why it cannot be used, or None.

    Raises:
        GalleryError: Nobody is enrolled, there are too few strangers, or the gallery cannot be read or written.
    """
    path, embedder_id = config.recognition.gallery_path, build.embedder_id(config)
    if not load_or_empty(path, embedder_id).people:
        raise GalleryError(f"nobody is enrolled in {printable(path)}; see streamer people import")
    if strangers is None:
        return edit_gallery(path, embedder_id, lambda current: current.without_calibration())
    pictures = find_pictures(strangers)
    vectors = stranger_vectors(pictures, models if models is not None else build.Models(config), on_picture)
    return edit_gallery(path, embedder_id, lambda current: with_strangers(current, vectors))


def stranger_vectors(
    pictures: Sequence[Path], models: build.Models, on_picture: Callable[[Path, str | None], None] | None = None
) -> Float32:
    """Return (M, D) float32 unit vectors of the largest face of each picture that can be used, M at least 1.

    Raises:
        GalleryError: None can be used.
    """
    reader = photo_reader(models, EnrolmentChoices(largest_face))
    vectors = []
    for picture in pictures:
        reason = None
        try:
            vectors.append(reader.read(picture).vector)
        except RefusedError as error:
            reason = str(error)
        if on_picture is not None:
            on_picture(picture, reason)
    if not vectors:
        raise GalleryError("none of the strangers' pictures shows a face that can be used; give others")
    return np.stack(vectors)


def look_alike_of_photo(config: Config, photo: Path, choose: ChooseFace) -> Float32:
    """Return the (D,) float32 unit vector of the face in a photo. Raises GalleryError where it cannot be used."""
    reader = photo_reader(build.Models(config), EnrolmentChoices(choose, accept_doubtful=True))
    try:
        return reader.read(photo).vector
    except RefusedError as error:
        raise GalleryError(f"{printable(photo)}: {error}; give a photo that shows the face") from error


def look_alike_of_track(config: Config, results: Path, track_id: int) -> Float32:
    """Return the (D,) float32 unit vector of a recorded track, the mean of its looks by their quality.

    Raises:
        StreamerError: The results file has no such track, or no looks; see `read_tracks`.
    """
    found = read_tracks(results, build.embedder_id(config))
    track = found.tracks.get(track_id)
    if track is None or not track.looks:
        raise UsageError(
            f"{printable(results)} has no track {track_id} with looks; its track lines name those there are"
        )
    mean = np.sum([look.quality * look.vector for look in track.looks], axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32)


def prepare_crops(
    people: PeopleFolder,
    target: Path,
    config: Config,
    choices: EnrolmentChoices,
    on_photo: Callable[[str, Path, str | None], None],
) -> int:
    """Write the face of each photo that can be used to a folder, one folder a person; return how many.

    Args:
        people: Whose photos.
        target: The folder; photos in it are not replaced.
        config: The settings.
        choices: How photos are judged.
        on_photo: Called with the person's name, each photo and why it was left out, or None.
    """
    import cv2

    reader = photo_reader(build.Models(config), choices)
    written = 0
    for number, person in enumerate(people.people, 1):
        folder = target / person.paths[0].parent.name if person.paths else target / str(number)
        for path in person.paths:
            try:
                crop = reader.crop(path, open_photo(path))
            except RefusedError as error:
                on_photo(person.name, path, str(error))
                continue
            is_only = sum(other.stem == path.stem for other in person.paths) == 1
            name = path.stem if is_only else path.name  # portrait.jpg and portrait.png are two photos
            _write_new(folder / f"{name}.png", cv2.imencode(".png", crop)[1].tobytes())
            written += 1
            on_photo(person.name, path, None)
    return written


def _write_new(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise GalleryError(f"{printable(path)} exists already; give an empty folder") from error
    except OSError as error:
        raise GalleryError(f"{printable(path)} cannot be written ({error.strerror}); give another folder") from error
