"""`mynah train` where the second process fails when it writes its part of the third checkpoint.

FAILS says how: write (the disk is full), or hash (what was written cannot be read back).
"""

import errno
import os
import sys
from pathlib import Path

from mynah import artifacts
from mynah.cli.main import main

write, digest, written = os.write, artifacts.sha256_of_file, set()


def unreadable(path: Path) -> str:
    if "optimizer-00001" in path.name:
        written.add(path.parent)
        if len(written) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
    return digest(path)


def full(descriptor: int, data: bytes) -> int:
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    if "optimizer-00001" in path.name:
        written.add(path.parent)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(descriptor, data)


if os.environ["FAILS"] == "write":
    os.write = full
else:
    artifacts.sha256_of_file = unreadable
main(["train", *sys.argv[1:]])
