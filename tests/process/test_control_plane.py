"""Volumes, nodes, masters: what an operator does, and what must hold when masters come and go."""

import os
import shutil
import unittest

from cluster import Cluster, gvn_key, report_of, wait_until


class VolumeTest(unittest.TestCase):
    def test_a_volume_is_made_listed_resized_renamed_and_removed(self):
        with Cluster() as cluster:
            cluster.sluice("volume", "create", "db", "--size", "10M")
            info = cluster.json("volume", "info", "db")
            self.assertEqual(info["size"], 10 << 20)
            cluster.sluice("volume", "resize", "db", "20M")
            self.assertEqual(cluster.json("volume", "info", "db")["size"], 20 << 20)
            self.assertNotEqual(cluster.sluice("volume", "resize", "db", "10M", check=False).returncode, 0)
            cluster.sluice("volume", "resize", "db", "10M", "--allow-shrink")
            cluster.sluice("volume", "rename", "db", "database")
            self.assertEqual([volume["name"] for volume in cluster.json("volume", "ls")], ["database"])
            self.assertNotEqual(cluster.sluice("volume", "rm", "database", check=False).returncode, 0, "without --yes")
            cluster.sluice("volume", "rm", "database", "--yes")
            self.assertEqual(cluster.json("volume", "ls"), [])

    def test_mistakes_are_answered_with_words_and_a_status(self):
        with Cluster() as cluster:
            cluster.make_volume("v", "8M")
            for arguments, word in [
                    (("volume", "create", "v", "--size", "8M"), "already"),
                    (("volume", "create", "w", "--size", "1000000T"), "space"),
                    (("volume", "create", "w", "--size", "eight"), "size"),
                    (("volume", "create", "w w", "--size", "8M"), "name"),
                    (("volume", "info", "nothing"), "nothing"),
                    (("volume", "rm", "nothing", "--yes"), "nothing"),
                    (("volume", "export", "nothing", cluster.path("x")), "nothing"),
                    (("node", "rm", "12345", "--yes"), "12345"),
                    (("volume", "explode", "v"), "explode")]:
                result = cluster.sluice(*arguments, check=False)
                self.assertNotEqual(result.returncode, 0, arguments)
                self.assertIn(word, (result.stdout + result.stderr).lower(), arguments)

    def test_a_command_for_a_node_that_hangs_ends_with_words(self):
        with Cluster() as cluster:
            cluster.nodes[0].pause()
            result = cluster.sluice("volume", "create", "v", "--size", "8M", check=False)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("node", result.stdout + result.stderr)
            cluster.nodes[0].resume()
            wait_until(lambda: cluster.sluice("volume", "create", "v", "--size", "8M", check=False).returncode == 0,
                       "the node takes volumes again")

    def test_a_held_volume_is_not_removed(self):
        with Cluster() as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "holder")
            cluster.stamp_is_writing(load)
            refused = cluster.sluice("volume", "rm", "v", "--yes", check=False)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("holder", refused.stdout + refused.stderr)
            self.assertEqual(load.stop(), 0, load.log())
            cluster.check_stamps()
            cluster.sluice("volume", "rm", "v", "--yes")

    def test_an_imported_file_comes_back_byte_for_byte(self):
        with Cluster() as cluster:
            original = cluster.path("original.img")
            with open(original, "wb") as file:
                file.write(os.urandom(3 << 20))
                file.seek(5 << 20)
                file.write(os.urandom(1 << 20))
                file.truncate(16 << 20)
            cluster.make_volume("v", "16M")
            cluster.sluice("volume", "import", original, "v")
            copy = cluster.path("copy.img")
            cluster.sluice("volume", "export", "v", copy)
            with open(original, "rb") as one, open(copy, "rb") as other:
                self.assertTrue(one.read() == other.read(), "the copy differs")

    def test_a_new_volume_goes_where_most_space_is_and_never_to_a_draining_node(self):
        with Cluster(nodes=2) as cluster:
            nodes = cluster.json("node", "ls")
            cluster.sluice("node", "drain", str(nodes[0]["id"]))
            for i in range(3):
                cluster.make_volume(f"v{i}", "1M")
            self.assertEqual({volume["node"] for volume in cluster.json("volume", "ls")}, {nodes[1]["id"]})


class MigrationTest(unittest.TestCase):
    def test_a_volume_moves_under_load_and_no_block_is_lost(self):
        with Cluster(nodes=2) as cluster:
            cluster.make_volume("v", "16M")
            nodes = [node["id"] for node in cluster.json("node", "ls")]
            load = cluster.stamp("load", "client")
            for _ in range(3):
                cluster.stamp_is_writing(load)
                here = cluster.json("volume", "info", "v")["node"]
                there = next(node for node in nodes if node != here)
                cluster.sluice("volume", "migrate", "v", "--to", str(there))
                self.assertEqual(cluster.json("volume", "info", "v")["node"], there)
            cluster.stamp_is_writing(load)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    def test_a_move_survives_the_death_of_each_daemon(self):
        with Cluster(nodes=2) as cluster:
            cluster.make_volume("v", "64M")
            nodes = {node["id"]: None for node in cluster.json("node", "ls")}
            load = cluster.stamp("load", "client", "--seconds", "1")
            self.assertEqual(load.wait(), 0, load.log())
            for victim in (cluster.nodes[0], cluster.nodes[1], cluster.masters[0]):
                here = cluster.json("volume", "info", "v")["node"]
                there = next(node for node in nodes if node != here)
                move = cluster.sluice("volume", "migrate", "v", "--to", str(there), "--detach", check=False)
                self.assertEqual(move.returncode, 0, move.stderr)
                victim.kill()
                victim.start().wait_until_up()
                wait_until(lambda: cluster.json("volume", "info", "v")["node"] == there, "the volume has moved", 120)
                cluster.check_stamps()


class MasterTest(unittest.TestCase):
    def test_a_second_master_on_the_same_store_deposes_the_first(self):
        """P1, attacks 25 and 26: the deposed one neither opens nor verifies, and the load moves over."""
        with Cluster(masters=2) as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client")
            cluster.stamp_is_writing(load)
            first = cluster.masters[0]
            before = cluster.json("status")["manager_version"]
            for _ in range(3):
                # Whoever starts last is in charge.
                first.kill()
                first.start().wait_until_up()
                cluster.wait_for_nodes(1)
                cluster.nodes[0].kill()
                cluster.nodes[0].start().wait_until_up()
                cluster.stamp_is_writing(load)
                first = cluster.masters[1] if first is cluster.masters[0] else cluster.masters[0]
            self.assertGreater(cluster.json("status")["manager_version"], before)
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    def test_a_master_restored_from_an_old_copy_gives_no_version_twice(self):
        """Attack 27: the nodes' hellos show that it is behind."""
        with Cluster() as cluster:
            cluster.make_volume()
            master = cluster.masters[0]
            self.assertEqual(master.stop(), 0)
            shutil.copy(cluster.path("metadata.db"), cluster.path("old.db"))
            master.start().wait_until_up()
            cluster.wait_for_nodes(1)
            last = None
            for i in range(4):
                load = cluster.stamp("load", f"client{i}", "--steal", "--seconds", "0.3")
                self.assertEqual(load.wait(), 0, load.log())
                last = report_of(load)["gvn"]
            master.kill()
            shutil.copy(cluster.path("old.db"), cluster.path("metadata.db"))
            master.start().wait_until_up()
            cluster.wait_for_nodes(1)
            load = cluster.stamp("load", "after", "--steal", "--seconds", "0.3")
            self.assertEqual(load.wait(), 0, load.log())
            self.assertGreater(gvn_key(report_of(load)["gvn"]), gvn_key(last))
            cluster.check_stamps()

    def test_a_node_restored_from_an_old_copy_is_refused_until_an_operator_accepts_it(self):
        """Attack 28."""
        with Cluster() as cluster:
            cluster.make_volume("v", "4M")
            node = cluster.nodes[0]
            self.assertEqual(node.stop(), 0)
            shutil.copytree(node.data, cluster.path("old.data"))
            node.start().wait_until_up()
            cluster.wait_for_nodes(1)
            load = cluster.stamp("load", "client", "--seconds", "0.5")
            self.assertEqual(load.wait(), 0, load.log())
            node.kill()
            node.start().wait_until_up()
            cluster.wait_for_nodes(1)
            node.kill()
            shutil.rmtree(node.data)
            shutil.copytree(cluster.path("old.data"), node.data)
            node.start().wait_until_up()
            wait_until(lambda: cluster.json("node", "ls")[0]["state"] == "rolled_back", "the master has noticed")
            refused = cluster.stamp("load", "refused", "--steal", journal="other-journal")
            self.assertEqual(refused.wait(120), 4)
            self.assertIn("rolled", refused.log())
            cluster.sluice("node", "accept", str(cluster.json("node", "ls")[0]["id"]), "--yes")
            cluster.wait_for_nodes(1)
            accepted = cluster.stamp("load", "accepted", "--steal", "--seconds", "0.3", journal="new-journal", )
            self.assertIn(accepted.wait(), (0, 1), accepted.log())


if __name__ == "__main__":
    unittest.main()
