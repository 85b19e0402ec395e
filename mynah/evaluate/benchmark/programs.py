"""Run programs that a model wrote, in a process of their own with little time, memory and nothing to write to.

That keeps mistakes from doing harm, and is no wall against a program that means it: hence only where it is asked for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

#: Seconds, bytes of memory and bytes that a file may have.
SECONDS, MEMORY, FILE = 10, 1 << 30, 1 << 20

#: Sets limits in the process itself, before anything of the program is read, and takes away what starts others.
_LIMITED = f"""
import resource, sys
for what, most in ((resource.RLIMIT_AS, {MEMORY}), (resource.RLIMIT_CPU, {SECONDS}), (resource.RLIMIT_FSIZE, {FILE}),
                   (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 32)):
    resource.setrlimit(what, (most, most))
def refuse(event, args):
    if event.split(".")[0] in ("socket", "subprocess", "ctypes") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.remove", "os.rename", "shutil.rmtree"
    ):
        raise PermissionError(event)
program = sys.stdin.read()
sys.stdin.close()
sys.addaudithook(refuse)
exec(compile(program, "program", "exec"), {{"__name__": "__main__"}})
"""


def passes(program: str, test: str, entry_point: str) -> bool:
    """Say whether a program holds what its test asks: one that ends with an error or not at all does not.

    Args:
        program: defines the function.
        test: defines `check`.
        entry_point: the function's name.
    """
    whole = f"{program}\n{test}\ncheck({entry_point})\n"
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _LIMITED],
                input=whole.encode("utf-8", "replace"),
                cwd=folder,
                env={"PATH": os.defpath},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS + 5,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
