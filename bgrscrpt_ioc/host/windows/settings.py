"""Says which limits a job enforces on Windows, and which settings do not work there."""

from __future__ import annotations

from collections.abc import Mapping

HELD: Mapping[str, str] = {
    "memory_max": "watched, job",
    "cpu_max": "job",
    "nproc_max": "watched, job",
}
REFUSED: Mapping[str, str] = {
    "cgroup": "Windows has no cgroups, the job of a run holds it to its limits: leave the key out",
    "nofile_max": "Windows has no limit on the open files of a process: leave the key out",
    "path_map": "paths of Windows mean what they say on Windows: leave the key out",
}
