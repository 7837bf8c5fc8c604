"""What build.py makes for files, made for live runs: people are enrolled, and wrong names taken away, meanwhile."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from streamer import build
from streamer.config import Config
from streamer.labels import Recognition, TrackLabeller
from streamer.live_gallery import DiskGallery, GalleryStore, MemoryGallery
from streamer.live_people import LivePeople
from streamer.policies import label_policy
from streamer.recognition.gallery import Gallery
from streamer.stats import RunStats


def build_live_labeller(
    config: Config, models: build.Models, gallery: Gallery, stats: RunStats | None = None
) -> TrackLabeller:
    """Return the labeller of a live run: faces are looked at even while nobody is enrolled, for somebody may be.

    Looks are in the results, from which people are enrolled; what is written is up to the sinks.
    """
    if config.recognition.matcher_file is not None:
        return build.build_labeller(config, models, gallery, stats)
    matcher = build.build_track_matcher(config, gallery) if gallery.people else None
    recognition, policy = build.fitting(Recognition(models.embedder, matcher), label_policy(config))
    return TrackLabeller(recognition, models.emotion, replace(policy, keep_looks=True), stats)


def build_live_people(config: Config, labeller: TrackLabeller, gallery: Gallery, *, is_kept: bool = True) -> LivePeople:
    """Return whom a live run knows, and what changes that.

    Args:
        config: The settings.
        labeller: As `build_live_labeller` returns it.
        gallery: Whom it knows.
        is_kept: That is the configured gallery on disk, which is changed, too; False: it ends with the run.
    """
    store: GalleryStore | None = None
    if config.recognition.matcher_file is None:
        path = config.recognition.gallery_path
        store = DiskGallery(path, build.embedder_id(config)) if is_kept else MemoryGallery(gallery)
    return LivePeople(labeller, store, gallery, partial(build.build_track_matcher, config))
