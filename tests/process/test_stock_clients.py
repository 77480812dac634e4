"""What users already have: QEMU's tools, libnbd, fio and a virtual machine, on a volume through the nbdkit plugin."""

import contextlib
import os
import subprocess
import unittest

import bootable
from cluster import BIN, PATIENCE_S, PROVIDER, Cluster, Process, wait_until


@contextlib.contextmanager
def exported(cluster, volume="v", *options):
    """Serves a volume by NBD; the URI of a socket of its own."""
    sock = cluster.path(f"{volume}.sock")
    server = Process(["nbdkit", "--foreground", "--exit-with-parent", "--unix", sock, os.path.join(os.path.dirname(BIN), "lib", "nbdkit-sluice-plugin.so"),
                      f"volume={volume}", f"master={','.join(cluster.master_addresses())}", f"provider={PROVIDER}",
                      *options], cluster.path(f"nbdkit-{volume}.log"))
    cluster.processes.append(server)
    wait_until(lambda: os.path.exists(sock) or not server.is_running(), "nbdkit listens")
    assert server.is_running(), server.log()
    try:
        yield f"nbd+unix:///?socket={sock}"
    finally:
        server.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(sock)


def run(*command, timeout_s=PATIENCE_S * 3):
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def random_file(path, mib, hole_mib=0):
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))
        file.truncate((mib + hole_mib) << 20)
    return path


class QemuToolsTest(unittest.TestCase):
    def test_qemu_img_converts_to_a_volume_and_compares_equal(self):
        with Cluster() as cluster:
            source = random_file(cluster.path("source.raw"), 12, hole_mib=20)
            cluster.make_volume("v", "32M")
            with exported(cluster) as uri:
                run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, uri)
                run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)
            # And still does after everything was opened anew.
            with exported(cluster) as uri:
                run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, uri)

    def test_qemu_io_patterns_zeroes_and_discards(self):
        with Cluster() as cluster:
            cluster.make_volume("v", "16M")
            with exported(cluster) as uri:
                output = run("qemu-io", "-f", "raw", uri, "-c", "write -P 0xa5 0 1M", "-c", "write -P 0x5a 64k 4k",
                             "-c", "read -P 0xa5 0 64k", "-c", "read -P 0x5a 64k 4k", "-c", "read -P 0xa5 68k 956k",
                             "-c", "write -z 128k 64k", "-c", "read -P 0 128k 64k", "-c", "discard 256k 64k",
                             "-c", "write -f -P 0x11 3M 2M", "-c", "flush", "-c", "read -P 0x11 3M 2M")
                self.assertNotIn("failed", output)
                self.assertNotIn("error", output.lower())


class LibnbdTest(unittest.TestCase):
    def test_nbdcopy_to_a_volume_and_back(self):
        with Cluster() as cluster:
            source = random_file(cluster.path("source.raw"), 16)
            cluster.make_volume("v", "16M")
            with exported(cluster) as uri:
                run("nbdcopy", "--connections=4", "--requests=32", source, uri)
                back = cluster.path("back.raw")
                run("nbdcopy", "--connections=4", uri, back)
            run("cmp", source, back)

    def test_what_is_advertised(self):
        with Cluster() as cluster:
            cluster.make_volume("v", "16M")
            with exported(cluster) as uri:
                info = run("nbdinfo", uri)
                for words in ("can_flush: true", "can_fua: true", "can_trim: true", "can_zero: true",
                              "can_multi_conn: true", "is_read_only: false", "block_size_minimum: 4096"):
                    self.assertIn(words, info)


class FioTest(unittest.TestCase):
    def fio(self, uri, *options):
        return run("fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--rw=randrw", "--bsrange=4k-256k",
                   "--blockalign=4k", "--iodepth=32", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                   "--verify_backlog=64", "--size=32M", "--io_size=96M", "--randrepeat=1", *options, timeout_s=240)

    def test_fio_verifies_mixed_random_io(self):
        with Cluster(paths=2) as cluster:
            cluster.make_volume("v", "32M")
            with exported(cluster) as uri:
                self.fio(uri)

    def test_fio_verifies_through_kills_of_the_node(self):
        with Cluster() as cluster:
            cluster.make_volume("v", "32M")
            with exported(cluster) as uri:
                load = Process(["fio", "--name=verify", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite", "--bs=4k",
                                "--iodepth=32", "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0",
                                "--size=32M", "--time_based", "--runtime=8", "--do_verify=1"], cluster.path("fio.log"))
                cluster.processes.append(load)
                for _ in range(4):
                    wait_until(lambda: not load.is_running() or len(cluster.json("volume", "ls")) == 1, "a moment")
                    cluster.nodes[0].kill()
                    cluster.nodes[0].start().wait_until_up()
                self.assertEqual(load.wait(PATIENCE_S * 3), 0, load.log())


class VirtualMachineTest(unittest.TestCase):
    @unittest.skipIf(bootable.missing(), f"no bootable image: {bootable.missing()}")
    def test_a_virtual_machine_boots_from_a_volume_and_finds_what_it_wrote(self):
        with Cluster() as cluster:
            image = cluster.path("boot.img")
            bootable.build_image(image)
            cluster.make_volume("v", f"{bootable.IMAGE_MIB}M")
            cluster.sluice("volume", "import", image, "v")
            for start in (1, 2):
                with exported(cluster) as uri:
                    self.assertIn(f"SLUICE BOOT {start}", bootable.boot(uri))


if __name__ == "__main__":
    unittest.main()
