"""`mynah train` where the second process fails at its third checkpoint.

FAILS says how: write (the disk is full), hash (what was written cannot be read back), or copy (there is no memory for
what is to be written).
"""

import errno
import os
import sys
from pathlib import Path

from mynah import artifacts
from mynah.cli.main import main
from mynah.train import checkpoint

write, digest, written = os.write, artifacts.sha256_of_file, set()


def unreadable(path: Path) -> str:
    if "optimizer-00001" in path.name:
        written.add(path.parent)
        if len(written) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
    return digest(path)


def no_memory(tensor: object) -> object:
    raise MemoryError


def full(descriptor: int, data: bytes) -> int:
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    if "optimizer-00001" in path.name:
        written.add(path.parent)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(descriptor, data)


match os.environ["FAILS"]:
    case "write":
        os.write = full
    case "hash":
        artifacts.sha256_of_file = unreadable
    case "copy":
        if os.environ["RANK"] == "1":
            checkpoint.part_of = no_memory
main(["train", *sys.argv[1:]])
