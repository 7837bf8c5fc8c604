"""Turn an import that fails for want of a system library or a package into what to install."""

from __future__ import annotations

import re

# What the opencv-python wheel needs of the system besides libc, libstdc++ and zlib, by `readelf -d` over the wheel's
# libraries (5.0.0): libGL, libgthread and libglib; libxcb and libX11 come as dependencies of libgl1. Its windows
# (the bundled Qt plugin) need libSM, libICE and libXext, too.
OPENCV_PACKAGES = "libgl1 libglib2.0-0"
WINDOW_PACKAGES = "libgl1 libglib2.0-0 libsm6 libxext6"

_OPENCV_LIBRARIES = ("libGL.", "libGLX.", "libGLdispatch.", "libglib-", "libgthread-", "libxcb.", "libX11.", "libXau.")
_PACKAGES = {"libgomp.": "libgomp1", "libstdc++.": "libstdc++6", "libgcc_s.": "libgcc-s1", "libz.": "zlib1g"}
_PRODUCTS = {"cv2": "OpenCV", "av": "PyAV", "_core": "PyAV", "_C": "torch"}
_MISSING = re.compile(r"(lib[\w+.-]+): cannot open shared object file")


def missing_library(message: str) -> str | None:
    """Return the file name of the library that the system's loader says it lacks, e.g. `libGL.so.1`."""
    found = _MISSING.search(message)
    return found[1] if found else None


def install_command(library: str) -> str | None:
    """Return the Debian or Ubuntu command that brings `library`; None: not known."""
    if library.startswith(_OPENCV_LIBRARIES):
        return f"apt-get install -y {OPENCV_PACKAGES}"
    for prefix, package in _PACKAGES.items():
        if library.startswith(prefix):
            return f"apt-get install -y {package}"
    return None


def explain_import_error(error: ImportError) -> str | None:
    """Say what cannot be imported, why, and what to install; None: it is a fault of streamer's own."""
    name = (error.name or "").partition(".")[0]
    if name == "streamer":
        return None
    product = _PRODUCTS.get(name, name or "a package")
    library = missing_library(str(error))
    if library is not None:
        command = install_command(library)
        remedy = f"run: {command}" if command else "install the system package that holds it"
        return f"{product} cannot start: {library} is missing; {remedy}"
    if isinstance(error, ModuleNotFoundError):
        return f"the package {product} is not installed; install streamer again, in a virtual environment of its own"
    return f"{product} cannot be imported ({error}); install streamer again, in a virtual environment of its own"
