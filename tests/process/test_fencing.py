"""Who may write: opens, steals, pauses. Every load keeps a journal, and every test ends with a check of each block."""

import time
import unittest

from cluster import Cluster, gvn_key, report_of, wait_until
from late_writer import LateWriter
from tcp_proxy import Proxy

FENCED = 3


class FencingTest(unittest.TestCase):
    def test_a_held_volume_is_busy_and_its_holder_is_named(self):
        with Cluster() as cluster:
            cluster.make_volume()
            holder = cluster.stamp("load", "holder")
            cluster.stamp_is_writing(holder)
            other = cluster.stamp("load", "other", journal="other-journal")
            self.assertEqual(other.wait(), 4)
            self.assertIn("busy", other.log())
            self.assertIn("holder", other.log())
            self.assertEqual(holder.stop(), 0, holder.log())
            cluster.check_stamps()

    def test_a_steal_fences_the_holder_while_it_writes(self):
        """Invariant 1: no effect of a session after a newer one was acknowledged; C4: it doesn't fight its way back."""
        with Cluster() as cluster:
            cluster.make_volume()
            first = cluster.stamp("load", "first")
            cluster.stamp_is_writing(first)
            thief = cluster.stamp("check", "thief", "--steal")
            self.assertEqual(first.wait(), FENCED, first.log())
            self.assertIn("stale_version", first.log())
            self.assertEqual(thief.wait(), 0, thief.log())
            # What a reader has seen once may not change any more: it notes that, in the first's journal.
            reader = cluster.stamp("load", "reader", "--steal", "--reads", "100", "--seconds", "1")
            self.assertEqual(reader.wait(), 0, reader.log())
            self.assertGreater(gvn_key(report_of(thief)["gvn"]), gvn_key(report_of(first)["gvn"]))
            cluster.check_stamps()

    def test_a_paused_client_that_wakes_up_after_a_steal_writes_nothing(self):
        """Attack 23: client A stopped mid-write, B steals and writes, A continues."""
        with Cluster() as cluster:
            cluster.make_volume()
            paused = cluster.stamp("load", "paused", "--reads", "0")
            cluster.stamp_is_writing(paused)
            paused.pause()
            # B's load carries on with what A has noted: A's writes in flight are between sent and acknowledged. What A
            # notes once it continues is what it believes, and isn't looked at.
            cluster.copy_journal("journal", "carried-on")
            cluster.check_stamps(journal="carried-on")
            thief = cluster.stamp("load", "thief", "--steal", "--seconds", "2", "--seed", "7", journal="carried-on")
            cluster.stamp_is_writing(thief, journal="carried-on")
            paused.resume()
            self.assertEqual(paused.wait(), FENCED, paused.log())
            self.assertEqual(thief.wait(), 0, thief.log())
            report = cluster.check_stamps(journal="carried-on")
            self.assertEqual(report["wrong_blocks"], 0)

    def test_one_client_id_started_twice_is_two_openings(self):
        """Attack 30: the nonce tells them apart."""
        with Cluster() as cluster:
            cluster.make_volume()
            first = cluster.stamp("load", "twin")
            cluster.stamp_is_writing(first)
            second = cluster.stamp("load", "twin", journal="other-journal")
            self.assertEqual(second.wait(), 4, second.log())
            self.assertIn("busy", second.log())
            self.assertEqual(first.stop(), 0, first.log())

    def test_an_operator_fences_a_session(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "holder")
            cluster.stamp_is_writing(load)
            cluster.sluice("session", "fence", "v", "--yes")
            self.assertEqual(load.wait(), FENCED, load.log())
            cluster.check_stamps()


class DirtyWriteTest(unittest.TestCase):
    """The reproduction of "ghost writes": a write that is late on path 1, tried again on path 2, then written over."""

    def late_write(self, hold_s):
        proxies = []

        def through(cluster, path, address):
            if path != 0:
                return address
            proxy = Proxy(address)
            proxies.append(proxy)
            cluster.proxies.append(proxy)
            return proxy.address

        with Cluster(paths=2, paths_through=through) as cluster:
            cluster.make_volume(size="1M")
            proxy = proxies[0]
            with LateWriter(cluster, "v") as writer:
                self.assertEqual(writer.tell("write 000"), "ok")
                proxy.hold()
                # Writes go over both paths until one is caught on path 1; that one is answered through path 2.
                start = time.monotonic()
                self.assertEqual(writer.tell("write 234"), "ok")
                while proxy.waiting_bytes() <= 4096:  # a block, not a keepalive
                    self.assertLess(time.monotonic() - start, 30, "no write took path 1")
                    self.assertEqual(writer.tell("write 234"), "ok")
                self.assertEqual(writer.tell("write 567"), "ok")
                time.sleep(hold_s)
                proxy.release()
                wait_until(lambda: proxy.waiting_bytes() == 0, "the late bytes are on their way")
                for _ in range(20):
                    self.assertEqual(writer.tell("read"), "567")
                    time.sleep(0.05)
            exported = cluster.path("out.img")
            refusals = cluster.json("session", "info", "v")["refusals"]
            if hold_s < 5:
                # The node still had the path when the late bytes came, and told each for what it was.
                self.assertGreater(refusals.get("expired", 0) + refusals.get("repeated_on_path", 0), 0, refusals)
            cluster.sluice("volume", "export", "v", exported)
            with open(exported, "rb") as file:
                self.assertEqual(file.read(3), b"567")

    def test_a_write_delayed_on_one_path_and_retried_on_another_never_comes_back(self):
        """Attack 1, shortened."""
        self.late_write(hold_s=2)

    def test_a_write_delayed_for_forty_seconds_never_comes_back(self):
        """Attack 1 at full length."""
        self.late_write(hold_s=40)


if __name__ == "__main__":
    unittest.main()
