"""A node's storage: locks, full disks, garbage from the network."""

import json
import os
import subprocess
import unittest

from cluster import ADDRESS, PROVIDER, Cluster, free_ports, program, report_of, wait_until


def can_mount_loop_devices():
    return os.geteuid() == 0 and os.path.exists("/dev/loop-control")


class LockTest(unittest.TestCase):
    def test_a_second_node_on_the_same_directory_is_refused(self):
        """F2."""
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            cluster.stamp_is_writing(load)
            port, = free_ports(1)
            second = subprocess.run(
                [program("sluice-node"), "--config", cluster.nodes[0].config_path, "--listen", f"{ADDRESS}:{port}",
                 "--lock_timeout_ms", "500"], capture_output=True, text=True, timeout=60, check=False)
            self.assertNotEqual(second.returncode, 0)
            words = second.stdout + second.stderr
            self.assertIn(cluster.nodes[0].data, words)
            self.assertIn(str(cluster.nodes[0].pid), words)
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()


class FullDiskTest(unittest.TestCase):
    @unittest.skipUnless(can_mount_loop_devices(), "needs root and loop devices, to make a small disk")
    def test_a_full_disk_fails_the_io_that_needs_space_and_nothing_else(self):
        with Cluster() as cluster:
            disk, mount = cluster.path("disk.img"), cluster.path("disk")
            with open(disk, "wb") as file:
                file.truncate(48 << 20)
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
            os.mkdir(mount)
            subprocess.run(["mount", "-o", "loop", disk, mount], check=True)
            try:
                data = os.path.join(mount, "data")
                os.mkdir(data)
                node = cluster.add_node(data_directory=data)
                ids = {entry["id"]: entry for entry in cluster.json("node", "ls")}
                small = min(ids.values(), key=lambda entry: entry["capacity"])["id"]
                cluster.make_volume("other", "8M", "--node", str(small))
                other = cluster.stamp("load", "other", "--blocks", "1024", volume="other", journal="other-journal")
                cluster.stamp_is_writing(other, journal="other-journal")
                cluster.make_volume("v", "30M", "--node", str(small))
                # Somebody else fills the disk behind the node's back.
                with open(os.path.join(mount, "filler"), "wb") as filler:
                    try:
                        while True:
                            filler.write(bytes(1 << 20))
                            filler.flush()
                    except OSError:
                        pass
                full = cluster.stamp("load", "full", "--seconds", "2", "--reads", "0")
                self.assertEqual(full.wait(), 0, full.log())
                self.assertGreater(report_of(full)["failures"].get("no_space", 0), 0)
                self.assertEqual(set(report_of(full)["failures"]), {"no_space"})
                os.unlink(os.path.join(mount, "filler"))
                again = cluster.stamp("load", "again", "--seconds", "1")
                self.assertEqual(again.wait(), 0, again.log())
                self.assertEqual(report_of(again)["failures"], {})
                cluster.check_stamps()
                self.assertTrue(other.is_running(), other.log())
                other.stop()
                self.assertEqual(set(report_of(other)["failures"]) - {"no_space"}, set())
                node.stop()
            finally:
                for process in cluster.processes:
                    process.end()
                subprocess.run(["umount", mount], check=False)


class SparseTest(unittest.TestCase):
    def test_a_sparse_image_stays_sparse_in_a_volume_that_had_other_data(self):
        with Cluster(nodes=2) as cluster:
            full, sparse = cluster.path("full.img"), cluster.path("sparse.img")
            with open(full, "wb") as file:
                file.write(os.urandom(24 << 20))
            with open(sparse, "wb") as file:
                file.write(os.urandom(1 << 20))
                file.write(bytes(4 << 20))  # zeroes that are no hole
                file.seek(20 << 20)
                file.write(os.urandom(1 << 20))
                file.truncate(24 << 20)
            cluster.make_volume("v", "24M")
            cluster.sluice("volume", "import", full, "v")
            self.assertGreaterEqual(self.allocated_mib(cluster), 24)
            cluster.sluice("volume", "import", "--verify", sparse, "v")
            self.assertLess(self.allocated_mib(cluster), 4)
            # Nor does a move fill it up.
            here = cluster.json("volume", "info", "v")["node"]
            there = next(node["id"] for node in cluster.json("node", "ls") if node["id"] != here)
            cluster.sluice("volume", "migrate", "v", "--to", str(there))
            wait_until(lambda: self.allocated_mib(cluster) < 4, "the old node has given its room back")
            copy = cluster.path("copy.img")
            cluster.sluice("volume", "export", "v", copy)
            subprocess.run(["cmp", sparse, copy], check=True)

    def allocated_mib(self, cluster):
        """Of all volumes' files, on all nodes."""
        files = [os.path.join(folder, name)
                 for node in cluster.nodes for folder, _, names in os.walk(node.data) for name in names]
        return sum(os.stat(path).st_blocks * 512 for path in files) / (1 << 20)


class GarbageTest(unittest.TestCase):
    def test_garbage_is_refused_and_disturbs_nobody(self):
        """Attack 34: random, truncated and replayed frames, forged versions and cookies, to both daemons."""
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            cluster.stamp_is_writing(load)
            node_address = cluster.json("node", "ls")[0]["addresses"][0]
            volume = cluster.json("volume", "info", "v")["id"]
            for target in (node_address, cluster.master_addresses()[0]):
                warm = self.send_garbage(target, volume, rounds=20)
                self.assertGreater(warm["cut_off"], 0)
            memory_before = [resident_kib(daemon.pid) for daemon in (cluster.masters[0], cluster.nodes[0])]
            for target in (node_address, cluster.master_addresses()[0]):
                report = self.send_garbage(target, volume, rounds=200)
                self.assertEqual(report["answered_ok"], 0)
            memory_after = [resident_kib(daemon.pid) for daemon in (cluster.masters[0], cluster.nodes[0])]
            for before, after in zip(memory_before, memory_after):
                self.assertLess(after - before, 8 * 1024, "the daemon's memory grew")
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    def send_garbage(self, target, volume, rounds):
        result = subprocess.run([program("garbage_client"), "--address", target, "--provider", PROVIDER,
                                 "--volume", str(volume), "--rounds", str(rounds)],
                                capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class MemoryTest(unittest.TestCase):
    def test_a_session_at_default_slots_takes_at_most_16_mib(self):
        with Cluster(paths=2) as cluster:
            node = cluster.nodes[0]
            for i in range(5):
                cluster.make_volume(f"v{i}", "32M")
            warm = cluster.stamp("load", "warm", "--seconds", "1", volume="v0", journal="j0")
            self.assertEqual(warm.wait(), 0, warm.log())
            before = resident_kib(node.pid)
            loads = [cluster.stamp("load", f"c{i}", volume=f"v{i}", journal=f"j{i}") for i in range(1, 5)]
            for i, load in enumerate(loads, 1):
                cluster.stamp_is_writing(load, journal=f"j{i}")
            grown_mib = (resident_kib(node.pid) - before) / 1024 / len(loads)
            print(f"memory of a session with two paths: {grown_mib:.1f} MiB")
            self.assertLessEqual(grown_mib, 16)
            for load in loads:
                self.assertEqual(load.stop(), 0, load.log())


if __name__ == "__main__":
    unittest.main()
