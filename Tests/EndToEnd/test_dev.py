"""./dev on a machine that is not fit for us."""

import os
import pathlib
import subprocess

import pytest

DEV = pathlib.Path(__file__).parents[2] / "dev"


@pytest.mark.parametrize("version", ["1.43.0-1", "1.52.0-1", "1.52.0-1+deb12u2"])
def test_nghttp2_that_a_peer_can_crash(tmp_path, version):
    # Every package is there; of this one the version.
    query = tmp_path / "dpkg-query"
    query.write_text(f'#!/bin/sh\ncase "$*" in *Version*) echo {version} ;; *) echo installed ;; esac\n')
    query.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run = subprocess.run(
        [DEV, "generate", tmp_path / "generated"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 1
    assert f"libnghttp2-14 {version} can be crashed" in run.stderr
    assert not (tmp_path / "generated").exists()
