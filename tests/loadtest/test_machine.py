"""What a result says of its machine."""

import subprocess
import sys
from pathlib import Path

from loadtest.measure.machine import commit, cpu_model, describe, memory_mb, versions


def test_a_machine_has_cores_memory_and_a_kernel() -> None:
    machine = describe()
    assert int(str(machine["cores"])) >= 1
    assert machine["kernel"]
    assert memory_mb() > 100


def test_cpu_model_is_as_the_kernel_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Imaginary 9000 @ 1 GHz\n")
    assert cpu_model(cpuinfo) == "Imaginary 9000 @ 1 GHz"
    assert cpu_model(tmp_path / "none")


def test_versions_name_python_and_what_is_installed() -> None:
    found = versions("no-such-package-here")
    assert found["python"] == sys.version.split()[0].rstrip("+")
    assert found["trio"]
    assert "no-such-package-here" not in found


def test_a_commit_is_marked_when_there_are_changes(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    clean = commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path) == f"{clean}+"
