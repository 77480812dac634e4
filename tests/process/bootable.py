"""A disk image that a virtual machine boots from: boot loader, kernel and a busybox system on one FAT partition.

The system mounts its own disk, counts its starts in a file on it, says so on the console, and turns the machine off.
"""

import glob
import os
import shutil
import struct
import subprocess
import tempfile

IMAGE_MIB = 64
PARTITION_START = 2048  # sectors

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
tries=0
while [ ! -b /dev/vda1 ] && [ $tries -lt 100 ]; do /bin/busybox sleep 0.1; tries=$((tries + 1)); done
/bin/busybox mount -t vfat /dev/vda1 /mnt
starts=$(/bin/busybox cat /mnt/starts 2>/dev/null || echo 0)
starts=$((starts + 1))
echo $starts >/mnt/starts
/bin/busybox sync
/bin/busybox umount /mnt
echo "SLUICE BOOT $starts" >/dev/console
/bin/busybox poweroff -f
"""

MODULES = ["virtio_pci", "virtio_blk", "vfat", "nls_cp437", "nls_ascii", "nls_utf8"]


def kernel_directory():
    """The kernel of the micro-VM, which has a boot image of it in its cache."""
    cache = os.environ.get("SLUICE_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "sluice")
    return os.path.realpath(os.path.join(cache, "vm", "current"))


def missing():
    """What keeps this machine from making and booting an image; nothing: None."""
    for tool in ("syslinux", "mcopy", "mkfs.vfat", "qemu-system-x86_64", "busybox", "cpio"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            return f"there is no {tool}"
    if not os.path.exists(os.path.join(kernel_directory(), "vmlinuz")):
        return "the micro-VM's kernel isn't there: run tests/vm/vm prepare"
    return None


def run(*command, **options):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    return subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path}, **options)


def build_initramfs(kernel, output):
    version = os.path.basename(glob.glob(os.path.join(kernel, "lib/modules/*"))[0])
    with tempfile.TemporaryDirectory() as root:
        for directory in ("bin", "modules", "proc", "sys", "dev", "mnt"):
            os.mkdir(os.path.join(root, directory))
        shutil.copy(shutil.which("busybox"), os.path.join(root, "bin/busybox"))
        with open(os.path.join(root, "init"), "w", encoding="utf-8") as file:
            file.write(INIT)
        os.chmod(os.path.join(root, "init"), 0o755)
        order = []
        for module in MODULES:
            shown = run("modprobe", "-d", kernel, "-S", version, "--show-depends", module, text=True).stdout
            for line in shown.splitlines():
                words = line.split()
                if words[0] == "insmod" and words[1] not in order:
                    order.append(words[1])
        for path in order:
            shutil.copy(path, os.path.join(root, "modules"))
        with open(os.path.join(root, "modules/order"), "w", encoding="utf-8") as file:
            file.write("\n".join(os.path.basename(path) for path in order) + "\n")
        names = run("find", ".", cwd=root).stdout
        archive = run("cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet", cwd=root, input=names).stdout
        with open(output, "wb") as file:
            file.write(archive)


def partition_entry(sectors):
    """An active FAT32 partition; its cylinders and heads say "look at the sectors"."""
    return struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x0c, b"\xfe\xff\xff", PARTITION_START, sectors)


def build_image(path):
    kernel = kernel_directory()
    with tempfile.TemporaryDirectory() as work:
        initramfs = os.path.join(work, "initramfs")
        build_initramfs(kernel, initramfs)
        with open(path, "wb") as file:
            file.truncate(IMAGE_MIB << 20)
        offset = PARTITION_START * 512
        sectors = (IMAGE_MIB << 20) // 512 - PARTITION_START
        run("mkfs.vfat", "--offset", str(PARTITION_START), path, str(sectors // 2))
        run("syslinux", "--install", "--offset", str(offset), path)
        with open("/usr/lib/syslinux/mbr/mbr.bin", "rb") as loader, open(path, "r+b") as image:
            image.write(loader.read()[:440])
            image.seek(446)
            image.write(partition_entry(sectors))
            image.seek(510)
            image.write(b"\x55\xaa")
        configuration = os.path.join(work, "syslinux.cfg")
        with open(configuration, "w", encoding="utf-8") as file:
            file.write("SERIAL 0\nDEFAULT sluice\nLABEL sluice\n  KERNEL vmlinuz\n"
                       "  APPEND initrd=initrd console=ttyS0 quiet panic=-1\n")
        run("mcopy", "-i", f"{path}@@{offset}", configuration, os.path.join(kernel, "vmlinuz"), "::")
        run("mcopy", "-i", f"{path}@@{offset}", initramfs, "::initrd")


def boot(drive):
    """Boots a virtual machine from the drive until it turns itself off. What its console said."""
    result = subprocess.run(
        ["qemu-system-x86_64", "-nodefaults", "-accel", "tcg", "-cpu", "max", "-m", "512", "-display", "none",
         "-serial", "stdio", "-no-reboot", "-drive", f"if=virtio,format=raw,file={drive}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=240, check=False)
    return result.stdout + result.stderr
