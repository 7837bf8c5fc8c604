"""What passes between a camera's capture process and its reader: pictures whole or not at all, and no waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.sources.camera_link import RECORD_BYTES, Kind, Reason, Record, Sender, records_in
from streamer.sources.camera_ring import RingReader, RingWriter, SharedMemory


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    created = SharedMemory.create()
    yield created
    created.close()


def written(writer: RingWriter, sequence: int, width: int = 64, height: int = 48) -> Record:
    """Lay a picture of one grey, the sequence number, into the ring."""
    writer.claim(width, height)[:] = sequence % 256
    return writer.publish(sequence, sequence * 1_000_000, width, height)


class TestRing:
    def test_a_picture_is_copied_whole(self, memory: SharedMemory) -> None:
        writer, reader = RingWriter(memory), RingReader(memory)
        first = reader.copy(written(writer, 1))
        second = reader.copy(written(writer, 2))
        assert first is not None
        assert second is not None
        assert first.shape == (72, 64)
        assert (first == 1).all()  # a copy: what was written later does not show
        assert (second == 2).all()

    def test_odd_sides_are_made_even(self, memory: SharedMemory) -> None:
        copied = RingReader(memory).copy(written(RingWriter(memory), 1, 641, 481))
        assert copied is not None
        assert copied.shape == (241 * 3, 642)

    def test_a_picture_that_was_overwritten_is_not_taken_for_another(self, memory: SharedMemory) -> None:
        writer, reader = RingWriter(memory), RingReader(memory)
        records = [written(writer, sequence) for sequence in range(1, 10)]
        copies = [reader.copy(record) for record in records]
        assert all(copy is None for copy in copies[:-4])
        assert [int(copy[0, 0]) for copy in copies[-4:] if copy is not None] == [6, 7, 8, 9]

    def test_a_picture_that_is_being_written_is_not_taken(self, memory: SharedMemory) -> None:
        writer, reader = RingWriter(memory), RingReader(memory)
        oldest, *_ = [written(writer, sequence) for sequence in (1, 2, 3, 4)]
        assert reader.copy(oldest) is not None
        writer.claim(64, 48)
        assert reader.copy(oldest) is None

    def test_larger_pictures_make_it_grow_and_smaller_ones_still_fit(self, memory: SharedMemory) -> None:
        writer, reader = RingWriter(memory), RingReader(memory)
        small = written(writer, 1)
        assert reader.copy(small) is not None
        for sequence, size in enumerate([(1280, 720), (320, 240), (1920, 1080)], 2):
            copied = reader.copy(written(writer, sequence, *size))
            assert copied is not None
            assert copied.shape == (size[1] * 3 // 2, size[0])
            assert (copied == sequence).all()
        assert reader.copy(small) is None

    def test_the_reader_cannot_write(self, memory: SharedMemory) -> None:
        written(RingWriter(memory), 1)
        with pytest.raises(ValueError, match="read-only"):
            np.frombuffer(memory.to_read(4096), np.uint8)[0] = 1

    def test_views_outlive_the_handle(self, memory: SharedMemory) -> None:
        record = written(RingWriter(memory), 1)
        reader = RingReader(memory)
        assert reader.copy(record) is not None
        memory.close()
        memory.close()
        assert reader.copy(record) is not None


class TestRecords:
    @given(
        st.builds(
            Record,
            kind=st.sampled_from(Kind),
            reason=st.sampled_from(Reason),
            slot=st.integers(0, 3),
            slot_bytes=st.integers(0, 2**40),
            sequence=st.integers(0, 2**63 - 1),
            captured_ns=st.integers(0, 2**63 - 1),
            width=st.integers(0, 2**31 - 1),
            height=st.integers(0, 2**31 - 1),
            fps=st.floats(0, 1000),
            pixel_format=st.sampled_from(["", "YUYV", "MJPG"]),
            text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=24),
        )
    )
    def test_what_is_packed_reads_back_as_the_same(self, record: Record) -> None:
        assert len(record.packed()) == RECORD_BYTES
        assert Record.unpacked(record.packed()) == record

    def test_a_name_that_is_too_long_is_cut_between_characters(self) -> None:
        text = Record.unpacked(Record(Kind.OPENED, text="ü" * 100 + "x").packed()).text
        assert set(text) == {"ü"}

    def test_records_are_found_however_they_are_cut(self) -> None:
        records = [Record(Kind.FRAME, sequence=number) for number in range(5)]
        stream = b"".join(record.packed() for record in records)
        received, found = bytearray(), list[Record]()
        for start in range(0, len(stream), 37):
            received += stream[start : start + 37]
            found += records_in(received)
        assert found == records
        assert not received


class TestSender:
    def test_a_reader_that_is_behind_is_not_waited_for(self) -> None:
        """The camera is read on; once there is room, news arrive again, and each record whole."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sender = Sender(ours)
            for number in range(20_000):
                sender.offer(Record(Kind.FRAME, sequence=number))
            received = bytearray()
            theirs.setblocking(False)
            numbers: list[int] = []
            try:
                while True:
                    received += theirs.recv(1 << 16)
                    numbers += [record.sequence for record in records_in(received)]
            except BlockingIOError:
                pass
            assert numbers == list(range(len(numbers)))
            assert 100 < len(numbers) < 20_000
            assert not received
            sender.offer(Record(Kind.FRAME, sequence=77))
            assert Record.unpacked(theirs.recv(RECORD_BYTES)).sequence == 77

    def test_notices_that_the_reader_is_gone(self) -> None:
        ours, theirs = socket.socketpair()
        with ours:
            theirs.close()
            with pytest.raises(ConnectionError):
                Sender(ours).offer(Record(Kind.FRAME))
            with pytest.raises(ConnectionError):
                Sender(ours).tell(Record(Kind.LOST))
