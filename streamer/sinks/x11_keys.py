"""Keys typed into a window of ours, read from the X server itself.

OpenCV's Qt window, the only one that its Linux wheels have, tells a key without its case (`R` comes as `r`, `é` as
`É`), and names in other scripts not at all. The X server sends each key press to every client that asks for those of a
window, with the state of the modifiers, so a connection of our own reads them whole (Xlib, XLookupString). Nothing is
taken away from Qt.
"""

from __future__ import annotations

import ctypes
import os
import select
import time
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from types import MappingProxyType

_KEY_PRESS, _KEY_RELEASE, _DESTROY_NOTIFY, _MAPPING_NOTIFY = 2, 3, 17, 34
_KEYS_AND_STRUCTURE_MASK = 1 << 0 | 1 << 1 | 1 << 17
_KEYMAP_BYTES = 32
# A key that is held down says the rest only once.
_REPEATED = ("backspace", "delete", "+", "-")
_CONTROL_MASK, _ALT_MASK = 1 << 2, 1 << 3
_XA_CARDINAL = 6
_TEXT_BYTES = 32
_MOST_WINDOWS = 1024
# X.h and keysymdef.h: the keys that have a meaning rather than a character.
_NAMED = MappingProxyType(
    {0xFF08: "backspace", 0xFF0D: "enter", 0xFF8D: "enter", 0xFF1B: "escape", 0xFFFF: "delete", 0xFF09: "tab"}
)
_KEYPAD_FIRST, _KEYPAD_LAST = 0xFFAA, 0xFFB9  # * to 9, at their ASCII codes + 0xFF80
_UNICODE = 0x0100_0000
# The second byte of older keysyms names a script, whose characters stand where an 8-bit character set has them.
_CHARACTER_SETS = MappingProxyType(
    {1: "iso8859-2", 2: "iso8859-3", 3: "iso8859-4", 5: "iso8859-6", 6: "koi8-u", 7: "iso8859-7", 12: "iso8859-8",
     13: "iso8859-11", 19: "iso8859-15"}
)  # fmt: skip


class _KeyEvent(ctypes.Structure):
    _fields_ = (
        ("type", c_int),
        ("serial", c_ulong),
        ("send_event", c_int),
        ("display", c_void_p),
        ("window", c_ulong),
        ("root", c_ulong),
        ("subwindow", c_ulong),
        ("time", c_ulong),
        ("x", c_int),
        ("y", c_int),
        ("x_root", c_int),
        ("y_root", c_int),
        ("state", c_uint),
        ("keycode", c_uint),
        ("same_screen", c_int),
    )


class _Event(ctypes.Union):
    _fields_ = (("type", c_int), ("key", _KeyEvent), ("pad", c_long * 24))


def _library() -> ctypes.CDLL:
    """Load Xlib and say what its functions take. Raises OSError where it is not there."""
    xlib = ctypes.CDLL("libX11.so.6")
    windows = POINTER(c_ulong)
    xlib.XOpenDisplay.argtypes, xlib.XOpenDisplay.restype = (c_char_p,), c_void_p
    xlib.XDefaultRootWindow.argtypes, xlib.XDefaultRootWindow.restype = (c_void_p,), c_ulong
    xlib.XInternAtom.argtypes, xlib.XInternAtom.restype = (c_void_p, c_char_p, c_int), c_ulong
    xlib.XQueryTree.argtypes = (c_void_p, c_ulong, windows, windows, POINTER(windows), POINTER(c_uint))
    xlib.XGetWindowProperty.argtypes = (c_void_p, c_ulong, c_ulong, c_long, c_long, c_int, c_ulong) + (c_void_p,) * 5
    xlib.XFetchName.argtypes = (c_void_p, c_ulong, POINTER(c_void_p))
    xlib.XSelectInput.argtypes = (c_void_p, c_ulong, c_long)
    xlib.XConnectionNumber.argtypes = xlib.XPending.argtypes = xlib.XCloseDisplay.argtypes = xlib.XFree.argtypes = (
        c_void_p,
    )
    xlib.XNextEvent.argtypes = (c_void_p, c_void_p)
    xlib.XRefreshKeyboardMapping.argtypes = (c_void_p,)
    xlib.XSync.argtypes = (c_void_p, c_int)
    xlib.XkbSetDetectableAutoRepeat.argtypes = (c_void_p, c_int, c_void_p)
    xlib.XQueryKeymap.argtypes = (c_void_p, c_char_p)
    xlib.XLookupString.argtypes = (c_void_p, c_char_p, c_int, c_void_p, c_void_p)
    return xlib


class X11Keys:
    """The keys pressed in this process's window of one title.

    Raises OSError where there is no Xlib or no display.
    """

    def __init__(self) -> None:
        self._xlib = _library()
        self._display: int | None = self._xlib.XOpenDisplay(None)
        if not self._display:
            raise OSError("the X display cannot be opened")
        self.is_gone = False  # the window was destroyed, of which Qt is not told where another program did it
        # Keys that are held tell only their repetition then, not a release before each.
        self._xlib.XkbSetDetectableAutoRepeat(self._display, 1, None)
        # What is held down since before the window was there, such as the key that closed the last one, is not for it.
        keymap = ctypes.create_string_buffer(_KEYMAP_BYTES)
        self._xlib.XQueryKeymap(self._display, keymap)
        self._held = {code for code in range(8 * _KEYMAP_BYTES) if keymap.raw[code // 8] >> code % 8 & 1}

    def listen(self, title: str) -> bool:
        """Read the keys of this process's window of that title from now on; False: it is not there."""
        window = self._find(self._xlib.XDefaultRootWindow(self._display), title.encode(), self._atom("_NET_WM_PID"))
        if window is not None:
            self._xlib.XSelectInput(self._display, window, _KEYS_AND_STRUCTURE_MASK)
            self._xlib.XSync(self._display, 0)
        return window is not None

    def poll(self) -> Iterator[str]:
        """Yield the keys pressed since the last time: a character, or a name such as `enter`."""
        event = _Event()
        while self._display and self._xlib.XPending(self._display):
            self._xlib.XNextEvent(self._display, byref(event))
            self.is_gone |= event.type == _DESTROY_NOTIFY
            if event.type == _MAPPING_NOTIFY:  # keyboards are switched while a name is typed
                self._xlib.XRefreshKeyboardMapping(byref(event))
            if event.type == _KEY_RELEASE:
                self._held.discard(event.key.keycode)
            if event.type == _KEY_PRESS and not event.key.state & (_CONTROL_MASK | _ALT_MASK):
                # What another program sends has no release of its own.
                is_repeated = event.key.keycode in self._held and not event.key.send_event
                self._held.add(event.key.keycode)
                key = self._key(event)
                if key is not None and (not is_repeated or key in _REPEATED):
                    yield key

    def wait_for_release(self, timeout_seconds: float) -> None:
        """Wait until no key is held: if the window went before, whoever has the focus next would get the release."""
        deadline = time.monotonic() + timeout_seconds
        while self._display and self._held and not self.is_gone and (left := deadline - time.monotonic()) > 0:
            if not self._xlib.XPending(self._display):
                select.select([self._xlib.XConnectionNumber(self._display)], [], [], left)
            for _ in self.poll():
                pass

    def close(self) -> None:
        """Close the connection; may be called more than once."""
        if self._display:
            self._xlib.XCloseDisplay(self._display)
            self._display = None

    def _key(self, event: _Event) -> str | None:
        text, keysym = ctypes.create_string_buffer(_TEXT_BYTES), c_ulong()
        self._xlib.XLookupString(byref(event.key), text, _TEXT_BYTES, byref(keysym), None)
        return key_of(keysym.value)

    def _atom(self, name: str) -> int:
        return int(self._xlib.XInternAtom(self._display, name.encode(), 0))

    def _find(self, root: int, title: bytes, pid_atom: int) -> int | None:
        """Return our window of that title, looked for breadth-first: a window manager puts windows into frames."""
        waiting, seen = [root], 0
        while waiting and seen < _MOST_WINDOWS:
            window, seen = waiting.pop(0), seen + 1
            if self._name(window) == title and self._pid(window, pid_atom) in (None, os.getpid()):
                return window
            waiting += self._children(window)
        return None

    def _children(self, window: int) -> list[int]:
        root, parent, count, found = c_ulong(), c_ulong(), c_uint(), POINTER(c_ulong)()
        if not self._xlib.XQueryTree(self._display, window, byref(root), byref(parent), byref(found), byref(count)):
            return []
        children = [int(found[place]) for place in range(count.value)]
        if found:
            self._xlib.XFree(found)
        return children

    def _name(self, window: int) -> bytes | None:
        found = c_void_p()
        if not self._xlib.XFetchName(self._display, window, byref(found)) or not found.value:
            return None
        name = ctypes.string_at(found.value)
        self._xlib.XFree(found)
        return name

    def _pid(self, window: int, atom: int) -> int | None:
        """Return the process that the window says it is of; None: it does not say."""
        kind, width, count, left, found = c_ulong(), c_int(), c_ulong(), c_ulong(), POINTER(c_ulong)()
        self._xlib.XGetWindowProperty(
            *(self._display, window, atom, 0, 1, 0, _XA_CARDINAL),
            *(byref(kind), byref(width), byref(count), byref(left), byref(found)),
        )
        if not found:
            return None
        pid = int(found[0]) if count.value else None
        self._xlib.XFree(found)
        return pid


def key_of(keysym: int) -> str | None:
    """Return the character or the name of an X keysym; None: it has neither, as Shift and the arrows."""
    if keysym in _NAMED:
        return _NAMED[keysym]
    if 0x20 <= keysym <= 0x7E or 0xA0 <= keysym <= 0xFF:
        return chr(keysym)
    if _KEYPAD_FIRST <= keysym <= _KEYPAD_LAST:
        return chr(keysym - 0xFF80)
    if _UNICODE < keysym <= _UNICODE + 0x10FFFF:
        return chr(keysym - _UNICODE)
    character_set = _CHARACTER_SETS.get(keysym >> 8)
    if character_set is None:
        return None
    character = bytes([keysym & 0xFF]).decode(character_set, errors="ignore")
    return character if character.isprintable() and character else None
