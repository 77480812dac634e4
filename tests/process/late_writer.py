"""A client that writes and reads one block, a command at a time: see late_write_client.cc."""

import subprocess

from cluster import program


class LateWriter:
    """Use it with `with`: it has the volume open in between, over all of its paths."""

    def __init__(self, cluster, volume):
        masters = [word for address in cluster.master_addresses() for word in ("--master", address)]
        self._process = subprocess.Popen(
            [program("late_write_client"), "--volume", volume, "--provider", "ofi", "--io-timeout-ms", "1000", *masters],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)
        greeting = self._answer()
        assert greeting.startswith("ready"), greeting

    def _answer(self):
        return self._process.stdout.readline().strip()

    def tell(self, line):
        """"write TEXT": ok, or a status; "read": the first three characters of the block."""
        self._process.stdin.write(line + "\n")
        return self._answer()

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, trace):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)
