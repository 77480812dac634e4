#!/usr/bin/env python3
"""Real processes for hours: fio with verification through the nbdkit plugin, and a stamped load, while nodes and masters are
killed, paused and started again, paths are cut and volumes move. Fails at the first wrong block or error.

usage: soak.py --hours H [--seed N]

SLUICE_BIN names the directory of the programs; the other variables are those of cluster.py.
"""

import argparse
import random
import subprocess
import sys
import time

from cluster import PROVIDER, Cluster, Process, report_of, wait_until
from tcp_proxy import Proxy
from test_stock_clients import exported


class Soak:
    def __init__(self, seconds, seed):
        self.random = random.Random(seed)
        self.ends_at = time.monotonic() + seconds
        self.proxies = []
        self.counts = {}

    def through(self, cluster, path, address):
        if path == 0 or PROVIDER == "verbs":
            return address
        proxy = Proxy(address)
        cluster.proxies.append(proxy)
        self.proxies.append(proxy)
        return proxy.address

    # --- what goes wrong

    def kill_node(self):
        node = self.random.choice(self.cluster.nodes)
        node.kill()
        node.start().wait_until_up()

    def kill_master(self):
        self.cluster.masters[0].kill()
        time.sleep(self.random.uniform(0, 2))
        self.cluster.masters[0].start().wait_until_up()

    def pause_node(self):
        self.pause(self.random.choice(self.cluster.nodes))

    def pause_master(self):
        self.pause(self.cluster.masters[0])

    def pause(self, process):
        process.pause()
        time.sleep(self.random.uniform(0.1, 8))
        process.resume()

    def cut_path(self):
        if self.proxies:
            proxy = self.random.choice(self.proxies)
            proxy.cut()
            time.sleep(self.random.uniform(0.1, 4))
            proxy.mend()
        else:
            subprocess.run(["ip", "link", "set", "sluice1", "down"], check=True)
            time.sleep(self.random.uniform(0.1, 4))
            subprocess.run(["ip", "link", "set", "sluice1", "up"], check=True)

    def hold_path(self):
        if not self.proxies:
            return
        proxy = self.random.choice(self.proxies)
        proxy.hold()
        time.sleep(self.random.uniform(0.1, 12))
        proxy.release()

    def migrate(self):
        self.cluster.wait_for_nodes(len(self.cluster.nodes))
        here = self.cluster.json("volume", "info", "stamped")["node"]
        there = next(node["id"] for node in self.cluster.json("node", "ls") if node["id"] != here)
        self.cluster.sluice("volume", "migrate", "stamped", "--to", str(there))

    # --- the run

    def run(self):
        with Cluster(nodes=2, paths=2, paths_through=self.through) as cluster:
            self.cluster = cluster
            cluster.make_volume("stamped", "64M")
            cluster.make_volume("verified", "64M")
            stamped = cluster.stamp("load", "soak", "--io-timeout-ms", "3000", volume="stamped")
            with exported(cluster, "verified") as uri:
                fio = self.start_fio(uri)
                while time.monotonic() < self.ends_at:
                    self.one_event(stamped, fio)
                    if not fio.is_running():
                        assert fio.popen.returncode == 0, f"fio found something:\n{fio.log()}"
                        fio = self.start_fio(uri)
                assert fio.wait(600) == 0, f"fio found something:\n{fio.log()}"
            assert stamped.stop() == 0, stamped.log()
            report = report_of(stamped)
            assert report["failures"] == {} and report["wrong_blocks"] == 0, report
            cluster.check_stamps(volume="stamped")
        events = ", ".join(f"{count} x {name}" for name, count in sorted(self.counts.items()))
        print(f"{report['writes']} writes and {report['reads']} reads, no wrong block and no error, through {events}; "
              f"longest stall {report['longest_stall_ms'] / 1000:.1f} s")

    def one_event(self, stamped, fio):
        event = self.random.choice([self.kill_node, self.kill_node, self.kill_master, self.pause_node, self.pause_master,
                                    self.cut_path, self.hold_path, self.migrate])
        self.counts[event.__name__] = self.counts.get(event.__name__, 0) + 1
        print(f"{time.strftime('%H:%M:%S')} {event.__name__}", flush=True)
        event()
        self.cluster.stamp_is_writing(stamped)
        assert fio.is_running() or fio.popen.returncode == 0, f"fio found something:\n{fio.log()}"

    def start_fio(self, uri):
        """A round of fio: it writes all of the volume at random, and reads and verifies all of it."""
        fio = Process(["fio", "--name=soak", "--ioengine=nbd", f"--uri={uri}", "--rw=randrw", "--bsrange=4k-64k",
                       "--blockalign=4k", "--iodepth=16", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                       "--verify_backlog=256", "--size=64M", "--io_size=256M",
                       f"--randseed={self.random.randrange(1 << 30)}"],
                      self.cluster.path("fio.log"))
        self.cluster.processes.append(fio)
        wait_until(lambda: fio.is_running() or fio.popen.returncode == 0, "fio starts")
        return fio


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, required=True, help="how long")
    parser.add_argument("--seed", type=int, default=None, help="of what goes wrong and when; printed, if none is given")
    arguments = parser.parse_args()
    if arguments.hours <= 0:
        sys.exit("soak.py: --hours takes a number above 0")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    Soak(arguments.hours * 3600, seed).run()


main()
