#!/usr/bin/env python3
"""Measures volumes beside what people use instead, on one machine with RDMA, as root: in a micro-VM for `./dev bench`.

usage: compare_volume.py BIN ROUNDS OUTPUT

The kernel's NVMe over RDMA (nvmet and nvme-rdma, fio with io_uring and direct IO) serves one RAM disk, a sluice node
another one like it, in the same run and in turn. Then the bare exchange of the same messages on raw verbs beside a volume
in memory, ib_write_bw beside sequential IO, and a path that is cut under load. Everything is written once before it is
measured: RAM disks and volumes in memory get their memory at the first write. While a peer is measured the node stands
still: it polls, and would take a processor from the peer.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from compare import measure_perftest, row  # noqa: E402

BIN = sys.argv[1]
ADDRESS = os.environ["SLUICE_VM_ADDRESS"]
SECONDS = int(os.environ.get("SLUICE_BENCH_SECONDS", "2"))
VOLUME_MIB = 128


def run(*command, timeout=120):
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def tool(name):
    return os.path.join(BIN, name)


class Daemon:
    """A program that is ready once its file of ports is there."""

    def __init__(self, directory, name, options):
        port_file = os.path.join(directory, f"{name}.port")
        self.log = os.path.join(directory, f"{name}.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([tool(name.split(".")[0]), "--port_file", port_file, *options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(1200):
            if os.path.exists(port_file) and os.path.getsize(port_file) > 0:
                break
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            self.process.kill()
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                raise RuntimeError(f"{name} didn't start:\n{log.read()}")
        with open(port_file, encoding="utf-8") as file:
            self.port = file.read().split()[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


class Cluster:
    """A master and a node with one volume, "v"."""

    def __init__(self, directory, backend, listen=(ADDRESS,)):
        common = ["--transport.provider=verbs"]
        os.makedirs(directory)
        self.master = Daemon(directory, "sluice-master", [
            *common, f"--listen={ADDRESS}:0", f"--database={directory}/metadata.db"])
        self.masters = f"--masters={ADDRESS}:{self.master.port}"
        data = os.path.join(directory, "data")
        os.makedirs(data)
        self.node = Daemon(directory, "sluice-node", [
            *common, "--polling.mode=busy", f"--listen={','.join(f'{address}:0' for address in listen)}", self.masters,
            f"--data_directory={data}", *backend])
        self.wait_for_node()
        self.sluice("volume", "create", "v", "--size", f"{VOLUME_MIB}M")

    def fill(self):
        self.sluice("bench", "v", "--rw", "write", "--bs", "1M", "--ops", str(VOLUME_MIB), "--yes")
        return self

    def wait_for_node(self):
        for _ in range(200):
            if '"up"' in self.sluice("node", "ls", "-o", "json"):
                return
            time.sleep(0.05)
        raise RuntimeError("the node isn't up")

    @contextlib.contextmanager
    def standing_still(self):
        self.node.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.node.process.send_signal(signal.SIGCONT)
            self.wait_for_node()

    def sluice(self, *arguments):
        return run(tool("sluice"), *arguments, self.masters, "--transport.provider=verbs", "--polling.mode=busy")

    def bench(self, pattern, block, depth):
        """One line of sluice bench, as a dictionary."""
        output = self.sluice("bench", "v", "--rw", pattern, "--bs", block, "--depth", str(depth), "--time", str(SECONDS),
                             "--yes", "-o", "json")
        result = json.loads(output)
        return result[0] if isinstance(result, list) else result

    def stop(self):
        self.node.stop()
        self.master.stop()


class NvmeOverRdma:
    def __init__(self, device):
        self.device = run(os.path.join(ROOT, "bench", "volume", "nvme_over_rdma"), "up", device, ADDRESS).strip()
        run("dd", "if=/dev/zero", f"of={self.device}", "bs=1M", f"count={VOLUME_MIB}", "oflag=direct")

    def bench(self, pattern, block, depth):
        output = run("fio", "--name=nvme", f"--filename={self.device}", "--direct=1", "--ioengine=io_uring",
                     f"--rw={pattern}", f"--bs={block}", f"--iodepth={depth}", "--time_based", f"--runtime={SECONDS}",
                     f"--size={VOLUME_MIB}M", "--output-format=json")
        job = json.loads(output)["jobs"][0]
        side = job["read" if "read" in pattern else "write"]
        return {"iops": side["iops"], "p50_us": side["clat_ns"]["percentile"]["50.000000"] / 1000}

    @staticmethod
    def stop():
        run(os.path.join(ROOT, "bench", "volume", "nvme_over_rdma"), "down")


def beside_nvme(cluster, nvme, rounds):
    rows = []
    for pattern, words in (("randread", "random read"), ("randwrite", "random write")):
        for depth, unit, figure, bound in ((1, "us", "p50_us", {"at_most": 0.5}), (16, "IOPS", "iops", {"at_least": 2})):
            ours, peer = [], []
            for _ in range(rounds):
                ours.append(cluster.bench(pattern, "4K", depth)[figure])
                with cluster.standing_still():
                    peer.append(nvme.bench(pattern, "4k", depth)[figure])
            rows.append(row(f"4 KiB {words}, depth {depth} / NVMe over RDMA", unit, ours, peer, **bound))
            print(f"{rows[-1]['name']}: {ours} / {peer}", flush=True)
    return rows


def beside_perftest(cluster, rounds):
    device = sorted(os.listdir("/sys/class/infiniband"))[0]
    rows = []
    for pattern, words in (("read", "read"), ("write", "write")):
        ours, peer = [], []
        for _ in range(rounds):
            ours.append(cluster.bench(pattern, "1M", 4)["iops"])
            with cluster.standing_still():
                peer.append(measure_perftest(ADDRESS, device, "ib_write_bw", 1 << 20, 100)[3])
        rows.append(row(f"1 MiB sequential {words} / ib_write_bw", "MiB/s", ours, peer, at_least=0.9))
        print(f"{rows[-1]['name']}: {ours} / {peer}", flush=True)
    return rows


def bare_exchange(directory, test, depth):
    port_file = os.path.join(directory, "bare.port")
    if os.path.exists(port_file):
        os.unlink(port_file)
    base = [tool("sluice-bare-exchange")]
    options = ["--host", ADDRESS, "--port-file", port_file, "--test", test, "--depth", str(depth), "--count", "10000"]
    with subprocess.Popen([*base, "server", *options]) as server:
        for _ in range(400):
            if os.path.exists(port_file) and os.path.getsize(port_file) > 0:
                break
            time.sleep(0.025)
        result = json.loads(run(*base, "client", *options))
        server.wait(timeout=30)
    return result


def beside_bare_exchange(cluster, directory, rounds):
    rows = []
    for pattern, test in (("randread", "read"), ("randwrite", "write")):
        for depth, unit, figure, bound in ((1, "us", "p50_us", {"at_most": 1.3}), (16, "IOPS", "iops", {})):
            ours, peer = [], []
            for _ in range(rounds):
                ours.append(cluster.bench(pattern, "4K", depth)[figure])
                with cluster.standing_still():
                    peer.append(bare_exchange(directory, test, depth)[figure])
            rows.append(row(f"4 KiB {test}, depth {depth}, volume in memory / bare exchange", unit, ours, peer, **bound))
            print(f"{rows[-1]['name']}: {ours} / {peer}", flush=True)
    return rows


def cut_path(directory):
    """What a writer at depth 32 sees of a path that is cut: no errors, and how long nothing completed."""
    run("ip", "link", "add", "sluice1", "type", "dummy")
    run("ip", "link", "set", "sluice1", "up")
    run(os.path.join(ROOT, "soft_roce_setup.sh"), "up", "--netdev", "sluice1", "--address", "10.78.0.1/24")
    cluster = Cluster(os.path.join(directory, "paths"), ["--backend.kind=memory"], (ADDRESS, "10.78.0.1"))
    try:
        load = subprocess.Popen(
            [tool("sluice-stamp"), "load", "--volume", "v", "--master", f"{ADDRESS}:{cluster.master.port}", "--journal",
             os.path.join(directory, "journal"), "--provider", "verbs", "--local", ADDRESS, "--local", "10.78.0.1",
             "--depth", "32", "--seconds", "8", "--reads", "25"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        run("ip", "link", "set", "sluice1", "down")
        output, errors = load.communicate(timeout=120)
        if load.returncode != 0:
            raise RuntimeError(f"sluice-stamp: status {load.returncode}\n{output}{errors}")
        report = json.loads(output.splitlines()[-1])
    finally:
        run("ip", "link", "set", "sluice1", "up")
        cluster.stop()
    failures = float(sum(report["failures"].values()))
    print(f"a path cut at depth 32: {report}", flush=True)
    return [row("a path cut at depth 32: errors seen", "errors", [failures], [], at_most=0),
            row("a path cut at depth 32: longest stall", "ms", [report["longest_stall_ms"]], [], at_most=5000)]


def session_memory(directory):
    """Resident memory of the node for each session with two paths, all of it registered and so resident."""
    cluster = Cluster(os.path.join(directory, "sessions"), ["--backend.kind=memory"], (ADDRESS, "10.78.0.1"))
    loads = []
    try:
        def resident_mib():
            with open(f"/proc/{cluster.node.process.pid}/status", encoding="utf-8") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

        def open_volume(name):
            cluster.sluice("volume", "create", name, "--size", "1M")
            loads.append(subprocess.Popen(
                [tool("sluice-stamp"), "load", "--volume", name, "--master", f"{ADDRESS}:{cluster.master.port}",
                 "--journal", os.path.join(directory, name), "--client", name, "--provider", "verbs", "--local", ADDRESS,
                 "--local", "10.78.0.1", "--depth", "1", "--verbose"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True))
            up = 0
            while up < 2:
                line = loads[-1].stderr.readline()
                if not line:
                    raise RuntimeError("a session didn't come up")
                up += line.strip().endswith("is up")

        open_volume("first")
        before = resident_mib()
        for i in range(4):
            open_volume(f"more{i}")
        grown = (resident_mib() - before) / 4
    finally:
        for load in loads:
            load.kill()
        cluster.stop()
    print(f"memory of a session: {grown:.2f} MiB", flush=True)
    return [row("memory of a session with two paths", "MiB", [grown], [], at_most=16)]


def main():
    rounds = int(sys.argv[2])
    run("modprobe", "brd", "rd_nr=2", f"rd_size={(VOLUME_MIB + 64) * 1024}")
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(os.path.join(directory, "block"), ["--backend.kind=block", "--backend.devices=/dev/ram1"]).fill()
        nvme = NvmeOverRdma("/dev/ram0")
        rows += beside_nvme(cluster, nvme, rounds)
        nvme.stop()
        rows += beside_perftest(cluster, rounds)
        cluster.stop()
        cluster = Cluster(os.path.join(directory, "memory"), ["--backend.kind=memory"]).fill()
        rows += beside_bare_exchange(cluster, directory, rounds)
        cluster.stop()
        rows += cut_path(directory)
        rows += session_memory(directory)
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(rows, file)


if __name__ == "__main__":
    main()
