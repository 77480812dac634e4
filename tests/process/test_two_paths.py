"""A path that dies under load, on wires that a test holds: a proxy on TCP, a device's link on Soft-RoCE."""

import os
import subprocess
import unittest

from cluster import ADDRESSES, PROVIDER, Cluster, report_of, wait_until
from tcp_proxy import Proxy


class PathTest(unittest.TestCase):
    def test_a_path_that_is_cut_under_load_is_nobodys_error(self):
        proxies = []

        def through(cluster, path, address):
            if path == 0 or PROVIDER == "verbs":
                return address
            proxy = Proxy(address)
            proxies.append(proxy)
            cluster.proxies.append(proxy)
            return proxy.address

        def cut():
            if proxies:
                proxies[0].cut()
            else:
                subprocess.run(["ip", "link", "set", "sluice1", "down"], check=True)

        def mend():
            if proxies:
                proxies[0].mend()
            else:
                subprocess.run(["ip", "link", "set", "sluice1", "up"], check=True)

        with Cluster(paths=2, paths_through=through) as cluster:
            cluster.make_volume()
            load = cluster.stamp("load", "client", "--depth", "32", "--io-timeout-ms", "3000")
            wait_until(lambda: load.log().count(" is up") >= 2, "both paths are up")
            for cycle in range(1, 4):
                cluster.stamp_is_writing(load)
                cut()
                cluster.stamp_is_writing(load)
                wait_until(lambda: load.log().count("path 1") > cycle, "the client has noticed")
                mend()
                wait_until(lambda: load.log().count("path 1") and load.log().count(" is up") >= 2 + cycle,
                           "the path is back")
            self.assertEqual(load.stop(), 0, load.log())
            self.assertEqual(report_of(load)["failures"], {})
            cluster.check_stamps()

    @unittest.skipUnless(PROVIDER == "verbs" and len(ADDRESSES) > 1, "needs two RDMA devices")
    def test_each_path_has_a_device_of_its_own(self):
        with Cluster(paths=2) as cluster:
            addresses = cluster.json("node", "ls")[0]["addresses"]
            self.assertEqual(len({address.rsplit(":", 1)[0] for address in addresses}), 2)
            self.assertEqual(len(os.listdir("/sys/class/infiniband")), 2)


if __name__ == "__main__":
    unittest.main()
