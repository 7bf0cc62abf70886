# SPDX-License-Identifier: MIT
"""What the campaigns against the running service have in common as programs."""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import harness  # noqa: E402


def parser(description):
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seed", type=int, default=None)
    made.add_argument("--binary", default=harness.BINARY)
    return made


@contextlib.contextmanager
def campaign(made, options, prefix):
    """made(folder, seed), closed in the end."""
    harness.BINARY = options.binary
    # A release may be built without the tests; any build's preloaded libraries do.
    own = pathlib.Path(options.binary).resolve().parents[1] / "tests/integration/preload"
    harness.PRELOAD = own if own.exists() else harness.ROOT / "build/asan/tests/integration/preload"
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed} (repeat with --seed {seed})", flush=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        running = made(folder, seed)
        try:
            yield running
        finally:
            running.close()
