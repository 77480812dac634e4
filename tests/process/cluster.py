"""A sluice cluster of real processes, for tests: masters, nodes, the command line tool, loads that stamp blocks.

Everything lives in a directory of its own and listens on ports that the system chose, so that tests run side by side.
SLUICE_BIN names the directory of the programs. SLUICE_TEST_PROVIDER and SLUICE_TEST_ADDRESSES choose the transport and
the addresses, one for each device: ofi and 127.0.0.1 unless something else is said.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.environ["SLUICE_BIN"]
PROVIDER = os.environ.get("SLUICE_TEST_PROVIDER", "ofi")
ADDRESSES = os.environ.get("SLUICE_TEST_ADDRESSES", "127.0.0.1").split(",")
ADDRESS = ADDRESSES[0]
# Patience, not time that passes: an emulated or loaded machine is slow.
PATIENCE_S = float(os.environ.get("SLUICE_TEST_PATIENCE_S", "60"))


def program(name):
    return os.path.join(BIN, name)


def wait_until(condition, what, patience_s=PATIENCE_S):
    """Waits for something that comes about by itself. The value that `condition` ended with."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {patience_s:g} s")
        time.sleep(0.02)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((ADDRESS, 0))
        return [one.getsockname()[1] for one in sockets]


class Process:
    """A program in the background, with its output in a file."""

    def __init__(self, command, log_path, environment=None):
        self.command = command
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                          env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.popen.pid

    def is_running(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def signal(self, number):
        self.popen.send_signal(number)

    def kill(self):
        """SIGKILL: what a crash of the process looks like to the others."""
        self.popen.kill()
        self.popen.wait()

    def pause(self):
        self.signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", f"{self.command[0]} is stopped")

    def resume(self):
        self.signal(signal.SIGCONT)

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0]

    def wait(self, patience_s=PATIENCE_S):
        return self.popen.wait(timeout=patience_s)

    def stop(self):
        """SIGTERM: the way in which a daemon is to be stopped. Its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self):
        if self.is_running():
            self.popen.send_signal(signal.SIGCONT)
            self.kill()


class Daemon(Process):
    """A master or a node: its configuration is given once, and start() starts it again after its end."""

    def __init__(self, name, cluster, binary, options):
        self.name = name
        self.cluster = cluster
        self.config_path = cluster.path(f"{name}.yaml")
        self.port_path = cluster.path(f"{name}.port")
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(to_yaml(options))
        self.binary = binary
        self.start()

    def start(self, extra=(), prefix=()):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.port_path)
        command = [*prefix, program(self.binary), "--config", self.config_path, "--port_file", self.port_path, *extra]
        Process.__init__(self, command, self.cluster.path(f"{self.name}.log"))
        return self

    def wait_until_up(self):
        def has_port():
            assert self.is_running(), f"{self.name} ended with status {self.popen.returncode}:\n{self.log()}"
            return os.path.exists(self.port_path) and os.path.getsize(self.port_path) > 0
        wait_until(has_port, f"{self.name} listens")
        return self


def to_yaml(options):
    """Nested dictionaries, lists and plain values."""
    def lines(value, indent):
        for key, inner in value.items():
            if isinstance(inner, dict):
                yield f"{indent}{key}:"
                yield from lines(inner, indent + "  ")
            elif isinstance(inner, list):
                yield f"{indent}{key}: [{', '.join(json.dumps(entry) for entry in inner)}]"
            elif isinstance(inner, bool):
                yield f"{indent}{key}: {'true' if inner else 'false'}"
            else:
                yield f"{indent}{key}: {json.dumps(inner) if isinstance(inner, str) else inner}"
    return "\n".join(lines(options, "")) + "\n"


def merged(base, changes):
    result = dict(base)
    for key, value in (changes or {}).items():
        result[key] = merged(result.get(key, {}), value) if isinstance(value, dict) else value
    return result


class Cluster:
    """Use it with `with`: everything is ended and removed at its end; the logs are printed if a test failed."""

    def __init__(self, nodes=1, paths=1, masters=1, backend="file", node_options=None, master_options=None,
                 paths_through=None):
        self.directory = tempfile.mkdtemp(prefix="sluice-test-", dir=os.environ.get("SLUICE_TEST_DIRECTORY"))
        self.processes = []
        self.proxies = []
        self.masters = []
        self.nodes = []
        self._backend = backend
        self._paths = paths
        self._node_options = node_options
        self._master_options = master_options
        self._paths_through = paths_through
        self._wanted = (masters, nodes)

    def __enter__(self):
        try:
            masters, nodes = self._wanted
            self.master_ports = free_ports(masters)
            for _ in range(masters):
                self.add_master()
            for _ in range(nodes):
                self.add_node()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, error_type, error, trace):
        for proxy in self.proxies:
            proxy.close()
        for process in self.processes:
            process.end()
        if error_type is not None:
            for name in sorted(os.listdir(self.directory)):
                if name.endswith(".log"):
                    with open(self.path(name), encoding="utf-8", errors="replace") as file:
                        print(f"--- {name}\n" + "".join(file.readlines()[-60:]), file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def _transport(self):
        return {"transport": {"provider": PROVIDER}}

    # --- daemons

    def add_master(self, wait=True):
        index = len(self.masters)
        if index == len(self.master_ports):
            self.master_ports += free_ports(1)
        options = merged(self._transport(), {
            "listen": [f"{ADDRESS}:{self.master_ports[index]}"], "database": self.path("metadata.db")})
        master = Daemon(f"master{index + 1}", self, "sluice-master", merged(options, self._master_options))
        self.masters.append(master)
        self.processes.append(master)
        return master.wait_until_up() if wait else master

    def master_addresses(self):
        return [f"{ADDRESS}:{port}" for port in self.master_ports]

    def add_node(self, wait=True, **changes):
        index = len(self.nodes)
        data = self.path(f"node{index + 1}.data")
        os.makedirs(data, exist_ok=True)
        ports = free_ports(self._paths)
        addresses = [f"{ADDRESSES[path % len(ADDRESSES)]}:{port}" for path, port in enumerate(ports)]
        options = merged(self._transport(), {
            "listen": addresses, "masters": self.master_addresses(), "data_directory": data,
            "backend": {"kind": self._backend}})
        if self._paths_through:
            options["advertise"] = [self._paths_through(self, path, address) for path, address in enumerate(addresses)]
        node = Daemon(f"node{index + 1}", self, "sluice-node", merged(merged(options, self._node_options), changes))
        node.data = data
        self.nodes.append(node)
        self.processes.append(node)
        if wait:
            node.wait_until_up()
            self.wait_for_nodes(len(self.nodes))
        return node

    def wait_for_nodes(self, count):
        wait_until(lambda: sum(node["state"] == "up" for node in self.json("node", "ls")) >= count, f"{count} nodes are up")

    # --- the command line tool

    def sluice(self, *arguments, check=True, **options):
        configuration = self.path("client.yaml")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write(to_yaml(merged(self._transport(), {"masters": self.master_addresses()})))
        result = subprocess.run([program("sluice"), *arguments, f"--config={configuration}"],
                                capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False, **options)
        if check and result.returncode != 0:
            raise AssertionError(f"sluice {' '.join(arguments)}: status {result.returncode}\n{result.stdout}{result.stderr}")
        return result

    def json(self, *arguments):
        return json.loads(self.sluice(*arguments, "-o", "json").stdout)

    def make_volume(self, name="v", size="64M", *options):
        self.sluice("volume", "create", name, "--size", size, *options)
        return name

    # --- loads

    def stamp(self, mode, name, *options, volume="v", journal="journal", prefix=()):
        """A sluice-stamp in the background; its last line of output is its report."""
        masters = [word for address in self.master_addresses() for word in ("--master", address)]
        locals_ = [word for address in ADDRESSES for word in ("--local", address)] if len(ADDRESSES) > 1 else []
        command = [*prefix, program("sluice-stamp"), mode, "--volume", volume, "--journal", self.path(journal),
                   "--client", name, "--provider", PROVIDER, "--verbose", *masters, *locals_, *options]
        process = Process(command, self.path(f"{name}-{len(self.processes)}.log"))
        self.processes.append(process)
        return process

    def stamp_is_writing(self, process, journal="journal"):
        """Waits until the load has its session and has acknowledged something new."""
        wait_until(lambda: "opened" in process.log() or not process.is_running(), "the load has its session")
        assert process.is_running(), process.log()
        before = acknowledged_writes(self.path(journal))
        wait_until(lambda: acknowledged_writes(self.path(journal)) > before or not process.is_running(),
                   "the load makes progress")
        assert process.is_running(), process.log()

    def copy_journal(self, journal, copy):
        """For a load that carries on while the journal's own one, stopped, still has it."""
        shutil.copyfile(self.path(journal), self.path(copy))

    def check_stamps(self, *options, volume="v", journal="journal"):
        """Reads every block and compares it with the journal; fails on any that is wrong."""
        process = self.stamp("check", "checker", "--steal", *options, volume=volume, journal=journal)
        status = process.wait(PATIENCE_S * 2)
        assert status == 0, f"status {status}: {process.log()}"
        return report_of(process)


def report_of(process):
    """What a load printed at its end."""
    found = [line for line in process.log().splitlines() if line.startswith("{")]
    assert found, f"no report:\n{process.log()}"
    return json.loads(found[-1])


def acknowledged_writes(journal_path):
    """The sum over all blocks of the versions that were acknowledged."""
    try:
        with open(journal_path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return 0
    return sum(memoryview(data).cast("Q")[1::2])


def gvn_key(text):
    """"3.17" as something that compares as a version does."""
    assert re.fullmatch(r"\d+\.\d+", text), text
    return tuple(int(part) for part in text.split("."))
