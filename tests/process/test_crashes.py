"""kill -9, SIGSTOP and restarts of everything, under a load that stamps each block and is checked to the last one."""

import os
import signal
import unittest

from cluster import Cluster, report_of, wait_until

CYCLES = int(os.environ.get("SLUICE_TEST_CYCLES", "20"))


class CrashTest(unittest.TestCase):
    def test_a_killed_client_loses_nothing_acknowledged(self):
        with Cluster() as cluster:
            cluster.make_volume()
            for cycle in range(CYCLES):
                load = cluster.stamp("load", f"client{cycle}", "--steal", "--seed", str(cycle + 1))
                cluster.stamp_is_writing(load)
                load.kill()
            cluster.check_stamps()

    def test_a_killed_node_comes_back_and_the_load_goes_on(self):
        """C5, attacks 9 and 11 to 13: the window is forgotten, the IO is sent again in a newer session."""
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            for _ in range(CYCLES):
                cluster.stamp_is_writing(load)
                cluster.nodes[0].kill()
                cluster.nodes[0].start().wait_until_up()
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            report = report_of(load)
            self.assertEqual(report["failures"], {}, "a restart of the node is nobody's error")
            cluster.check_stamps()

    def test_a_killed_master_disturbs_no_session(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            for _ in range(CYCLES):
                cluster.stamp_is_writing(load)
                cluster.masters[0].kill()
                cluster.stamp_is_writing(load)
                cluster.masters[0].start().wait_until_up()
            cluster.wait_for_nodes(1)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    def test_master_and_node_killed_together(self):
        """P1 and P2: what was promised is on disk."""
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            for _ in range(5):
                cluster.stamp_is_writing(load)
                cluster.masters[0].kill()
                cluster.nodes[0].kill()
                cluster.nodes[0].start().wait_until_up()
                cluster.masters[0].start().wait_until_up()
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()


class PauseTest(unittest.TestCase):
    def test_a_paused_node_only_delays(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client", "--io-timeout-ms", "1500")
            for _ in range(2):
                cluster.stamp_is_writing(load)
                cluster.nodes[0].pause()
                # Long enough for the client to give up the paths, and for the master to give up the node.
                wait_until(lambda: "no sign of life" in load.log(), "the client has noticed")
                cluster.nodes[0].resume()
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    def test_a_paused_master_delays_no_io(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            cluster.stamp_is_writing(load)
            cluster.masters[0].pause()
            for _ in range(3):
                cluster.stamp_is_writing(load)
            cluster.masters[0].resume()
            self.assertEqual(load.stop(), 0, load.log())
            report = report_of(load)
            self.assertEqual(report["failures"], {})
            cluster.check_stamps()

    def test_a_load_whose_master_and_node_were_both_paused_goes_on(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client", "--io-timeout-ms", "1500")
            cluster.stamp_is_writing(load)
            cluster.masters[0].pause()
            cluster.nodes[0].pause()
            wait_until(lambda: "no sign of life" in load.log(), "the client has noticed")
            cluster.nodes[0].resume()
            cluster.masters[0].resume()
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            cluster.check_stamps()


class ShutdownTest(unittest.TestCase):
    def test_a_daemon_told_to_end_drains_and_exits_with_0(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            cluster.stamp_is_writing(load)
            self.assertEqual(cluster.nodes[0].stop(), 0, cluster.nodes[0].log())
            cluster.nodes[0].start().wait_until_up()
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()
            self.assertEqual(cluster.nodes[0].stop(), 0, cluster.nodes[0].log())
            self.assertEqual(cluster.masters[0].stop(), 0, cluster.masters[0].log())

    def test_a_reload_changes_the_log_level(self):
        with Cluster() as cluster:
            for daemon in (cluster.masters[0], cluster.nodes[0]):
                with open(daemon.config_path, encoding="utf-8") as file:
                    text = file.read()
                with open(daemon.config_path, "w", encoding="utf-8") as file:
                    file.write(text + "log:\n  level: debug\n")
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: "debug" in daemon.log(), "the new level is in force")
                self.assertEqual(daemon.stop(), 0, daemon.log())


if __name__ == "__main__":
    unittest.main()
