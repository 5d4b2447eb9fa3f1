"""schemathesis over the whole of what the Edge says of itself: what is described is what happens."""

import os
import pathlib
import subprocess
import sys

from harness import API_KEY

HERE = pathlib.Path(__file__).parent
SEED = 5


def test_is_as_described(platform, tmp_path):
    url = f"http://{platform.edge.addresses['http']}"
    command = [pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml"]
    command += ["run", f"{url}/openapi.json", "--url", url, "--checks", "all", "--seed", str(SEED)]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "MAINSTREET_API_KEY": API_KEY, "NO_COLOR": "1"})
    assert done.returncode == 0
