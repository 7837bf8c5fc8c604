"""A real RTSP server (GStreamer's), a program of its own: it needs the system's Python, for which Debian builds gi.

    gst_rtsp_server.py PORT VIDEO.mp4 PUSHES.txt RECORDING [USER:PASSWORD]

/live plays the video (H.264) again and again at its own pace, /rec takes published streams into RECORDING-1.mkv,
RECORDING-2.mkv and so on. Each picture
that is handed to the server is told in PUSHES.txt, as its number in the video and the monotonic time. "ready" on
standard output says that it listens.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402, F401  GstApp: for appsink's signals

H264 = "video/x-h264,stream-format=byte-stream,alignment=au"
# Without `config-interval`, which damages key frames of several slices.
PLAY = "( appsrc name=src is-live=true format=time do-timestamp=true ! h264parse ! rtph264pay name=pay0 pt=96 )"
# Each picture is in the file once it has come.
RECORD = (
    "( rtph264depay name=depay0 ! h264parse ! matroskamux streamable=true ! filesink name=file buffer-mode=unbuffered )"
)


def access_units(path: str) -> tuple[list[tuple[bytes, float]], Any]:
    """Return the coded pictures of a video with their seconds, and what they are."""
    reading = Gst.parse_launch(
        f'filesrc location="{path}" ! qtdemux ! h264parse config-interval=-1 ! {H264} ! appsink name=sink sync=false'
    )
    sink = reading.get_by_name("sink")
    reading.set_state(Gst.State.PLAYING)
    units, kind = [], None
    while (sample := sink.emit("try-pull-sample", 5 * Gst.SECOND)) is not None:
        kind, buffer = sample.get_caps(), sample.get_buffer()
        units.append((buffer.extract_dup(0, buffer.get_size()), buffer.duration / Gst.SECOND))
    reading.set_state(Gst.State.NULL)
    return units, kind


class Player:
    """Feeds the stream that all clients share, from the first client on."""

    def __init__(self, path: str, pushes: Path) -> None:
        self._units, self._kind = access_units(path)
        self._log = pushes.open("w", buffering=1)

    def configure(self, _factory: object, media: Any) -> None:
        source = media.get_element().get_by_name("src")
        source.set_property("caps", self._kind)
        ended = threading.Event()
        media.connect("unprepared", lambda _media: ended.set())
        threading.Thread(target=self._feed, args=(source, ended), daemon=True).start()

    def _feed(self, source: Any, ended: threading.Event) -> None:
        due, number = time.monotonic(), 0
        while not ended.wait(max(0.0, due - time.monotonic())):
            unit, seconds = self._units[number]
            self._log.write(f"{number} {time.monotonic():.6f}\n")
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(unit)) != Gst.FlowReturn.OK:
                return
            due, number = due + seconds, (number + 1) % len(self._units)


class Recorder:
    """Gives every published stream a file of its own."""

    def __init__(self, path: str) -> None:
        self._path, self._count = path, 0

    def construct(self, _factory: object, media: Any) -> None:
        self._count += 1
        media.get_element().get_by_name("file").set_property("location", f"{self._path}-{self._count}.mkv")


def guard(server: Any, factories: list[Any], login: str) -> None:
    """Let nobody in who does not know the login."""
    user, _, password = login.partition(":")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "known")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    for factory in factories:
        may_all = "known, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        factory.add_role_from_structure(Gst.Structure.new_from_string(may_all))


def main(port: str, video: str, pushes: str, recording: str, login: str = "") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    live = GstRtspServer.RTSPMediaFactory()
    live.set_shared(True)
    live.set_launch(PLAY)
    live.connect("media-configure", Player(video, Path(pushes)).configure)
    server.get_mount_points().add_factory("/live", live)
    taken = GstRtspServer.RTSPMediaFactory()
    taken.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    taken.set_latency(0)
    taken.set_launch(RECORD)
    taken.connect("media-constructed", Recorder(recording).construct)
    server.get_mount_points().add_factory("/rec", taken)
    if login:
        guard(server, [live, taken], login)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
