"""Copies a project to a folder as `COPY . .` would see it: the files git knows, less what .dockerignore keeps out."""

import fnmatch
import pathlib
import shutil
import subprocess
import sys

project, target = map(pathlib.Path, sys.argv[1:])
listed = subprocess.run(
    ["git", "-c", f"safe.directory={project}", "-C", project, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    check=True,
    capture_output=True,
).stdout
patterns = [line.strip() for line in (project / ".dockerignore").read_text().splitlines() if line.strip()]


def kept_out(path: pathlib.PurePath) -> bool:
    above = [path, *path.parents][:-1]
    for pattern in patterns:
        anywhere = pattern.startswith("**/")
        for part in above:
            name = part.name if anywhere else str(part)
            if fnmatch.fnmatchcase(name, pattern.removeprefix("**/").removeprefix("/")):
                return True
    return False


for name in sorted(filter(None, listed.decode().split("\0"))):
    path = pathlib.PurePath(name)
    if kept_out(path) or not (project / path).is_file():
        continue
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(project / path, target / path)
