"""The kernel's nbd driver and a file system on a volume: only where the kernel has the driver, as in the micro-VM."""

import os
import subprocess
import unittest

from cluster import Cluster
from test_stock_clients import exported, run


def has_nbd():
    return os.geteuid() == 0 and subprocess.run(["modprobe", "nbd", "max_part=0"], check=False,
                                                capture_output=True).returncode == 0 and os.path.exists("/dev/nbd0")


class KernelNbdTest(unittest.TestCase):
    @unittest.skipUnless(has_nbd(), "this kernel has no nbd driver, or this isn't root")
    def test_a_file_system_on_a_volume_keeps_its_files_and_is_clean(self):
        with Cluster(paths=2) as cluster:
            cluster.make_volume("v", "96M")
            tree, archive = cluster.path("tree"), cluster.path("tree.tar")
            for i in range(60):
                os.makedirs(f"{tree}/d{i % 6}", exist_ok=True)
                with open(f"{tree}/d{i % 6}/f{i}", "wb") as file:
                    file.write(os.urandom(1 + 4099 * i))
            run("tar", "-C", tree, "-cf", archive, ".")
            mount = cluster.path("mount")
            os.mkdir(mount)
            with exported(cluster) as uri:
                sock = uri.split("socket=")[1]
                run("nbd-client", "-unix", sock, "/dev/nbd0", "-block-size", "4096")
                try:
                    run("mkfs.ext4", "-q", "/dev/nbd0")
                    run("mount", "/dev/nbd0", mount)
                    try:
                        run("tar", "-C", mount, "-xf", archive)
                    finally:
                        run("umount", mount)
                    # The page cache is gone with the mount: what is read now comes from the volume.
                    run("blockdev", "--flushbufs", "/dev/nbd0")
                    run("e2fsck", "-f", "-n", "/dev/nbd0")
                    run("mount", "-o", "ro", "/dev/nbd0", mount)
                    try:
                        run("diff", "-r", "--exclude=lost+found", tree, mount)
                    finally:
                        run("umount", mount)
                finally:
                    run("nbd-client", "-d", "/dev/nbd0")


if __name__ == "__main__":
    unittest.main()
