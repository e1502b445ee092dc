# SPDX-License-Identifier: GPL-2.0-or-later
"""Nested cases: disks."""
import hashlib
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import sys
import time

from machine import (KVMBUS, MIB, REPO, SCRATCH, Failed, call, case, disk_tool,
                     expect, new_disk, root_disk)

# Names like sda go to whoever is first; the second disk's LUN is 1.
DATA = 'data=/dev/$(ls /sys/class/scsi_device/0:0:0:1/device/block)\n'


@case()
def sub_channels(run):
    """Five processors: storvsp offers a second channel, and both work."""
    m = run(cpus=5, disks=[root_disk(), new_disk('data', 64 * MIB)],
            append='root=LABEL=kvmbus', memory='768M', script=DATA + '''
    set -- /sys/bus/vmbus/devices/*/channels/*
    [ $# = 2 ] || exit 1
    for cpu in 0 1 2 3 4; do
        taskset -c $cpu dd if=$data of=/dev/null bs=4k count=200 \\
            iflag=direct || exit 2
    done
    chroot /root fio --name=many --filename=$data --rw=randwrite --bs=4k \\
        --size=1M --numjobs=5 --offset_increment=4M --iodepth=8 \\
        --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 \\
        --minimal || exit 3
    grep . "$1/interrupts" "$2/interrupts"
    ''')
    m.script_ok()


@case()
def fio_verify(run):
    m = run(disks=[root_disk(), new_disk('data', 256 * MIB)],
            append='root=LABEL=kvmbus', script=DATA + '''
    chroot /root fio --name=seq --filename=$data --rw=write --bs=1M \\
        --size=256M --direct=1 --ioengine=libaio --iodepth=8 \\
        --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal || exit 1
    chroot /root fio --name=rand --filename=$data --rw=randrw \\
        --bsrange=512-128k --size=64M --direct=1 \\
        --ioengine=libaio --iodepth=32 --verify=crc32c --verify_fatal=1 \\
        --minimal
    ''')
    m.script_ok()


@case()
def mkfs_fsck_fstrim(run):
    disk = new_disk('data', 512 * MIB)
    m = run(disks=[root_disk(), disk], append='root=LABEL=kvmbus', script=DATA + '''
    set -e
    chroot /root mkfs.ext4 -q $data
    chroot /root mount $data /mnt
    dd if=/dev/urandom of=/root/mnt/f bs=1M count=200
    sync
    echo WRITTEN; read x
    rm /root/mnt/f
    sync
    chroot /root fstrim -v /mnt
    chroot /root umount /mnt
    chroot /root fsck.ext4 -fn $data
    ''')
    m.wait_for('WRITTEN')
    before = os.stat(disk).st_blocks
    m.type('\n')
    m.script_ok()
    after = os.stat(disk).st_blocks
    expect(before * 512 > 200 * MIB, 'the data did not reach the file')
    expect(after < before / 4, f'fstrim left {after} of {before} blocks')


@case()
def disk_truncated_while_running(run):
    disk = new_disk('data', 64 * MIB)
    m = run(disks=[disk], script='''
    echo READY; read x
    dd if=/dev/sda of=/dev/null bs=4k count=1 || exit 1
    dd if=/dev/sda of=/dev/null bs=4k skip=8192 count=1 iflag=direct && exit 2
    echo STILL HERE
    exit 0
    ''')
    m.wait_for('READY')
    os.truncate(disk, MIB)
    m.type('\n')
    m.script_ok()


@case()
def disk_removed_while_running(run):
    disk = new_disk('data', 64 * MIB)
    m = run(disks=[disk], script='''
    echo READY; read x
    dd if=/dev/zero of=/dev/sda bs=1M count=32 conv=fsync || exit 1
    dd if=/dev/sda of=/dev/null bs=1M count=32 iflag=direct
    ''')
    m.wait_for('READY')
    disk.unlink()
    m.type('\n')
    m.script_ok()


@case()
def host_disk_full(run):
    folder = SCRATCH / 'small'
    folder.mkdir(exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16M', 'small',
                    folder], check=True)
    try:
        disk = folder / 'data'
        with open(disk, 'wb') as f:
            f.truncate(64 * MIB)
        m = run(disks=[disk], script='''
        dd if=/dev/zero of=/dev/sda bs=1M count=48 oflag=direct && exit 1
        dd if=/dev/sda of=/dev/null bs=1M count=4 iflag=direct || exit 2
        echo STILL HERE
        ''')
        m.script_ok()
    finally:
        subprocess.run(['umount', '-l', folder], check=True)


HELD = '''
    head -c 8388608 /dev/urandom >/data
    sum=$(md5sum </data)
    write() { dd if=/data of=$1 bs=256k seek=$2 oflag=direct conv=fsync; }
    at() { echo /dev/$(ls /sys/class/scsi_device/0:0:0:$1/device/block); }
    first=$(at 0) second=$(at 1)
    dmesg -c >/dev/null
    echo BEGIN
    write $first 0 || exit 1
    echo 3 >/proc/sys/vm/drop_caches
    [ "$(head -c 8388608 $first | md5sum)" = "$sum" ] || exit 2
    dmesg | grep -iE 'error|fail|abort|reset|time' && exit 3
    echo WRITTEN
    write $second 0 && exit 4
    echo REFUSED
    write $first 64
    '''


def held(m, path, disk, times):
    """The machine pauses, and says that it is this one that is full."""
    while call(path, 'GetState') != ['paused']:
        expect(m.process.poll() is None, 'it has ended')
    there = ' '.join(call(path, 'ListHeldDisks'))
    expect(there == f"[(0, {disk}, 'No space left on device')]" and
           m.stderr().count(f'LUN {disk}): No space') == times,
           f'it says {there}')


@case()
def full_disk_pauses(run):
    """It waits for space, the disk's removal, or the end of the machine."""
    path, folder = SCRATCH / 'control', SCRATCH / 'small'
    folder.mkdir(exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3M', 'small',
                    folder], check=True)
    try:
        disks = [folder / 'first', folder / 'second']
        for disk in disks:
            disk.touch()
            os.truncate(disk, 64 * MIB)
        m = run('--control', path,
                disks=[f'{d},on-error=pause' for d in disks], script=HELD)
        m.wait_for('BEGIN')
        held(m, path, 0, 1)
        call(path, 'Resume')
        held(m, path, 0, 2)
        subprocess.run(['mount', '-o', 'remount,size=9M', folder], check=True)
        call(path, 'Resume')
        m.wait_for('WRITTEN')
        held(m, path, 1, 1)
        call(path, 'RemoveDisk', 0, 1)
        expect(call(path, 'ListHeldDisks') == ['[]'], 'a disk that is gone')
        call(path, 'Resume')
        m.wait_for('REFUSED')
        held(m, path, 0, 3)
        m.process.terminate()
        m.finish(128 + signal.SIGTERM)
    finally:
        subprocess.run(['umount', '-l', folder], check=True)


LOG_HELD = '''
    head -c 4096 /dev/urandom >/data
    dmesg -c >/dev/null
    dd if=/data of=/dev/sda bs=4k oflag=direct || exit 1
    echo DATA
    dd if=/dev/null of=/dev/sda conv=notrunc,fsync || exit 2
    echo 3 >/proc/sys/vm/drop_caches
    head -c 4096 /dev/sda | cmp - /data || exit 3
    dmesg | grep -iE 'error|fail|abort|reset|time' && exit 4
    exit 0
    '''


@case()
def full_log_pauses(run):
    """A flush waits for space for what a VHDX writes by itself, its log."""
    path, folder = SCRATCH / 'control', SCRATCH / 'small'
    folder.mkdir(exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8M', 'small',
                    folder], check=True)
    try:
        disk = folder / 'disk.vhdx'
        disk_tool('create', disk, '64M')
        there = os.statvfs(folder)
        used = (there.f_blocks - there.f_bfree) * there.f_bsize
        # For the first entry and the data; the next entry takes two pages.
        subprocess.run(['mount', '-o', f'remount,size={used + 3 * 4096}',
                        folder], check=True)
        m = run('--control', path, disks=[f'{disk},on-error=pause'],
                script=LOG_HELD)
        m.wait_for('DATA')
        held(m, path, 0, 1)
        subprocess.run(['mount', '-o', 'remount,size=8M', folder], check=True)
        call(path, 'Resume')
        m.script_ok()
        disk_tool('check', disk)
    finally:
        subprocess.run(['umount', '-l', folder], check=True)


BESIDE = '''
    at() { ls /sys/class/scsi_device/0:0:0:$1/device/block; }
    reads() { read n rest </sys/block/$slow/stat; echo $n; }
    slow=$(at 1) fast=$(at 2)
    echo none >/sys/block/$slow/queue/scheduler
    chroot /root fio --name=slow --filename=/dev/$slow --direct=1 \
        --rw=randread --bs=4k --ioengine=libaio --iodepth=300 \
        --runtime=120 --time_based >/dev/null &
    until read a b </sys/block/$slow/inflight && [ $a -ge 290 ]; do
        sleep 0.2
    done
    before=$(reads)
    dd if=/dev/$fast of=/dev/null bs=4k count=64 iflag=direct || exit 1
    echo "SLOW $(($(reads) - before)) DONE"
    '''


@case()
def slow_disk_beside_another(run):
    """What waits for a disk that is limited leaves the others alone."""
    m = run(disks=[root_disk(), f'{new_disk("slow", 16 * MIB)},iops=2',
                   new_disk('fast', 16 * MIB)],
            append='root=LABEL=kvmbus', script=BESIDE)
    m.wait_for(r'SLOW \d+ DONE')
    slow = int(re.search(r'SLOW (\d+)', m.text).group(1))
    # Of those that it has, 44 would be more than 256, and in the other's way.
    expect(slow < 30, f'{slow} reads of the slow disk meanwhile')
    m.process.terminate()
    m.finish(128 + signal.SIGTERM)


@case()
def read_only_disk(run):
    disk = new_disk('data', 16 * MIB)
    disk.write_bytes(b'keep' * (4 * MIB))
    m = run(disks=[f'{disk},ro=on'], script='''
    [ "$(cat /sys/block/sda/ro)" = 1 ] || exit 1
    dd if=/dev/zero of=/dev/sda bs=4k count=1 oflag=direct && exit 2
    dd if=/dev/sda bs=4 count=1 2>/dev/null; echo
    exit 0
    ''')
    m.script_ok()
    expect(disk.read_bytes() == b'keep' * (4 * MIB), 'the file has changed')


HOTPLUG = '''
    at() { echo /sys/class/scsi_device/$1/device/block/*; }
    there() { until [ -e "$(at $1)" ]; do sleep 0.1; done; d=/dev/$(ls \
        /sys/class/scsi_device/$1/device/block); }
    gone() { while [ -e /sys/class/scsi_device/$1 ]; do sleep 0.1; done; }
    head -c 8388608 /dev/urandom >/data
    echo READY
    there 0:0:0:1
    dd if=/data of=$d bs=256k oflag=direct conv=fsync || exit 1
    echo 3 >/proc/sys/vm/drop_caches
    head -c 8388608 $d | cmp - /data || exit 2
    echo WRITTEN
    until [ "$(cat /sys/block/${d#/dev/}/size)" = 262144 ]; do sleep 0.1; done
    dd if=/data of=$d bs=1M seek=120 oflag=direct || exit 3
    echo RESIZED
    dd if=/data of=/dev/sda bs=256k oflag=direct || exit 7
    until [ "$(cat /sys/block/sda/size)" = 131072 ]; do
        dd if=/data of=/dev/sda bs=4k count=64 oflag=direct 2>/dev/null
    done
    dd if=/data of=/dev/sda bs=1M seek=56 oflag=direct || exit 8
    echo GROWN
    while dd if=$d of=/dev/null bs=64k iflag=direct; do echo LOAD; done \
        2>/dev/null &
    gone 0:0:0:1
    wait
    dd if=/dev/sda of=/dev/null bs=1M iflag=direct || exit 4
    echo GONE
    there 0:0:0:2
    head -c 8388608 $d | cmp - /data || exit 5
    echo AGAIN
    until [ -e "$(at 1:0:0:0)" ]; do echo TICK; usleep 50000; done
    there 1:0:0:0
    dd if=/data of=$d bs=256k oflag=direct conv=fsync || exit 6
    '''


def paused(m, path, during):
    """Nothing comes from a machine that is paused, then it goes on."""
    call(path, 'Pause')
    while select.select([m.process.stdout], [], [], 0.5)[0]:
        expect(m.read(), 'the machine has ended')
    during()
    quiet = not select.select([m.process.stdout], [], [], 2)[0]
    expect(quiet and call(path, 'GetState') == ['paused'], 'it is not paused')
    call(path, 'Resume')


@case()
def hotplug(run):
    """Disks come, grow, and go under load; a pause, a late controller."""
    path = SCRATCH / 'control'
    disk, late = new_disk('plug', 64 * MIB), SCRATCH / 'late.qcow2'
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', late, '16M'],
                   check=True)
    grows = SCRATCH / 'grows.vhdx'
    subprocess.run([KVMBUS, 'disk', 'create', grows, '16M'], check=True)
    m = run('--control', path, disks=[grows], cpus=2, script=HOTPLUG)
    m.wait_for('READY')
    expect(call(path, 'AddDisk', disk) == ['0', '1'], 'it is somewhere else')
    m.wait_for('WRITTEN')
    os.truncate(disk, 128 * MIB)
    expect(call(path, 'ResizeDisk', 0, 1) == [str(128 * MIB)], 'its size')
    m.wait_for('RESIZED')
    expect(call(path, 'GrowDisk', 0, 0, '64M') == [str(64 * MIB)], 'as asked')
    m.wait_for('GROWN')
    m.wait_for('LOAD')
    call(path, 'RemoveDisk', 0, 1)
    data = disk.read_bytes()
    expect(data[:8 * MIB] == data[120 * MIB:] != bytes(8 * MIB),
           'the file has something else')
    m.wait_for('GONE')
    expect(call(path, 'AddDisk', disk) == ['0', '2'], 'it is not the next')
    m.wait_for('AGAIN')
    m.wait_for('TICK')
    paused(m, path, lambda: call(path, 'AddDisk', f'{late},controller=1'))
    m.script_ok()
    subprocess.run([KVMBUS, 'disk', 'convert', late, SCRATCH / 'late.img'],
                   check=True)
    expect((SCRATCH / 'late.img').read_bytes()[:8 * MIB] == data[:8 * MIB],
           'the late disk has something else')
    subprocess.run([KVMBUS, 'disk', 'check', grows], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([KVMBUS, 'disk', 'convert', grows, SCRATCH / 'grows.img'],
                   check=True)
    grown = (SCRATCH / 'grows.img').read_bytes()
    expect(grown[:8 * MIB] == grown[56 * MIB:] == data[:8 * MIB],
           'what has grown has something else')


def is_direct(pid, disk):
    """Whether the process has @disk open with O_DIRECT."""
    for link in pathlib.Path(f'/proc/{pid}/fd').iterdir():
        if os.readlink(link) == str(disk):
            info = pathlib.Path(f'/proc/{pid}/fdinfo/{link.name}').read_text()
            return bool(int(re.search(r'flags:\t(\d+)', info)[1], 8)
                        & os.O_DIRECT)
    raise Failed(f'{disk} is not open')


@case()
def direct_io(run):
    """O_DIRECT unless told otherwise; a disk of odd sectors too."""
    disks = [new_disk(f'direct{i}', MIB + 512) for i in range(2)]
    m = run(disks=[disks[0], f'{disks[1]},direct=off'], script='''
    echo READY; read x
    for disk in /dev/sda /dev/sdb; do
        tr '\\0' x </dev/zero | dd of=$disk bs=512 count=2049 \\
            iflag=fullblock oflag=direct || exit 1
        dd if=$disk bs=512 skip=2047 count=2 iflag=direct | tr -d x |
            grep . && exit 2
    done
    exit 0
    ''')
    m.wait_for('READY')
    direct = [is_direct(m.process.pid, disk) for disk in disks]
    m.type('\n')
    m.script_ok()
    expect(direct == [True, False], f'opened for direct I/O: {direct}')
    for disk in disks:
        expect(disk.read_bytes() == b'x' * (MIB + 512), f'{disk} is wrong')


def checksum(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').digest()


@case()
def ephemeral_disks(run):
    """The guest writes and reads what it wrote; the images do not change."""
    data = new_disk('data', 64 * MIB)
    data.write_bytes(os.urandom(1 * MIB) * 64)
    before = checksum(data), os.stat(root_disk()).st_mtime_ns
    os.environ['TMPDIR'] = str(SCRATCH)
    m = run('-x', disks=[root_disk(), data], append='root=LABEL=kvmbus',
            script=DATA + '''
    set -e
    echo kept >/root/etc/of-this-run
    sync
    chroot /root fio --name=rand --filename=$data --rw=randrw \\
        --bsrange=512-64k --size=32M --direct=1 --ioengine=libaio \\
        --iodepth=16 --verify=crc32c --verify_fatal=1 --minimal
    dd if=/dev/zero of=$data bs=1M count=64 oflag=direct
    tr -d "\\0" <$data | head -c 1 | grep . && exit 3
    grep kept /root/etc/of-this-run
    ''')
    m.script_ok()
    expect((checksum(data), os.stat(root_disk()).st_mtime_ns) == before,
           'an image has changed')
    expect(not list(SCRATCH.glob('overlay-*')), 'an overlay is left')


def serve(path, name):
    """A server of a raw disk; it listens when this returns."""
    pid = SCRATCH / 'nbd.pid'
    subprocess.run(['qemu-nbd', '--fork', '--pid-file', pid, '-k', name, '-t',
                    '-x', 'disk', '-f', 'raw', path], check=True)
    return int(pid.read_text())


def blocks(path):
    return os.stat(path).st_blocks


@case()
def nbd_and_qcow2(run):
    """A root that qemu-nbd reads, and a disk whose server is killed."""
    root, before = SCRATCH / 'root.qcow2', os.stat(root_disk()).st_mtime_ns
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw',
                    '-b', root_disk(), root], check=True)
    data, name = new_disk('data', 24 * MIB), SCRATCH / 'nbd.sock'
    server = serve(data, name)
    m = run(disks=[f'{root},backing=on', f'nbd+unix:///disk?socket={name}'],
            append='root=LABEL=kvmbus', script=DATA + '''
    for at in 0 8 16; do
        chroot /root fio --name=rand --filename=$data --rw=randwrite \\
            --bsrange=4k-64k --offset=${at}M --size=8M --direct=1 \\
            --ioengine=libaio --iodepth=16 --fsync=64 --verify=crc32c \\
            --verify_fatal=1 --minimal || exit 1
    done
    dd if=/dev/urandom of=/root/var/f bs=1M count=8 conv=fsync
    sync
    chroot /root fstrim -v /
    ''')
    for third in 1, 2, 3:
        while blocks(data) * 512 < third * 8 * MIB - 4 * MIB:
            expect(m.process.poll() is None, 'it ended before the server')
            time.sleep(0.01)
        os.kill(server, signal.SIGKILL)
        server = serve(data, name)
    try:
        m.script_ok()
    finally:
        os.kill(server, signal.SIGKILL)
    said = m.stderr()
    expect(said.count('there again') == 3, f'not lost thrice: {said}')
    subprocess.run(['qemu-img', 'check', '-q', root], check=True)
    expect(blocks(root) > 8 * MIB // 512, 'nothing was written to the root')
    expect(os.stat(root_disk()).st_mtime_ns == before,
           'the backing file has changed')
    root.unlink()


def new_iso(name, label, size):
    """An ISO image with a file of @size random bytes."""
    folder = SCRATCH / f'{name}.d'
    folder.mkdir(exist_ok=True)
    (folder / 'file').write_bytes(os.urandom(size))
    path = SCRATCH / name
    subprocess.run(['genisoimage', '-quiet', '-R', '-V', label, '-o', path,
                    folder], check=True)
    return path, hashlib.md5((folder / 'file').read_bytes()).hexdigest()


def move_file(iso, block):
    """Let the file of an ISO image be at @block, and the image end there."""
    with open(iso, 'r+b') as f:
        image = bytearray(f.read())
        volume = 16 * 2048
        at, = struct.unpack_from('<I', image, volume + 156 + 2)
        at *= 2048
        while image[at + 32] == 1:      # "." and ".."
            at += image[at]
        first, size = (struct.unpack_from('<I', image, at + n)[0]
                       for n in (2, 10))
        data = image[first * 2048:first * 2048 + size]
        end = block + (size + 2047) // 2048
        for where, number in (at + 2, block), (volume + 80, end):
            struct.pack_into('<I', image, where, number)
            struct.pack_into('>I', image, where + 4, number)
        image[first * 2048:first * 2048 + size] = bytes(size)
        f.seek(0)
        f.write(image)
        f.truncate(end * 2048)
        f.seek(block * 2048)
        f.write(data)


@case()
def dvd(run):
    """Discs come and go, by the guest's wish and by the user's."""
    first, first_sum = new_iso('first.iso', 'FIRST', 24 * MIB)
    second, second_sum = new_iso('second.iso', 'SECOND', 3 * MIB)
    move_file(second, 5000 * MIB // 2048)
    control = SCRATCH / 'dvd-control'

    m = run('--control', control, '--cdrom', f'{first},lun=9',
            disks=[root_disk()], append='root=LABEL=kvmbus', script=f'''
    has() {{
        n=0
        until [ "$(chroot /root blkid -p -o value -s LABEL /dev/sr0)" = $1 ]
        do
            sleep 0.2; n=$((n + 1)); [ $n -lt 200 ] || return 1
        done
        mkdir -p /disc
        mount -t iso9660 -o ro /dev/sr0 /disc || return 1
        [ "$(md5sum </disc/file)" = "$2  -" ]
    }}
    chroot /root modprobe -a sr_mod isofs || exit 1
    has FIRST {first_sum} || exit 2
    echo MOUNTED; read x
    umount /disc
    chroot /root perl -e 'sysopen(F, "/dev/sr0", 2048) or die $!;
        ioctl(F, 0x5309, 0) or die "CDROMEJECT: $!"' || exit 3
    echo EJECTED; read x
    has SECOND {second_sum} || exit 4
    [ $(blockdev --getsize64 /dev/sr0) = {second.stat().st_size} ] || exit 5
    umount /disc
    echo READ; read x
    dd if=/dev/sr0 of=/dev/null count=1 && exit 6
    true''')
    m.wait_for('MOUNTED')
    call(control, 'EjectMedium', 0, 9, 'false', error='cdrom.locked')
    m.type('\n')
    m.wait_for('EJECTED')
    expect("(0, 9, '')" in ' '.join(call(control, 'ListDisks')),
           'it is listed')
    call(control, 'EjectMedium', 0, 9, 'false', error='cdrom.empty')
    call(control, 'InsertMedium', 0, 9, second)
    m.type('\n')
    m.wait_for('READ\n')
    call(control, 'EjectMedium', 0, 9, 'false')
    m.type('\n')
    m.script_ok()


class Node:
    """A machine of a cluster, which does what it is told."""

    def __init__(self, run, name, kernel, disk):
        self.said = 0
        self.machine = run(
            kernel=kernel, prefix=['env', f'TMPDIR={SCRATCH}'],
            disks=[f'{root_disk()},ephemeral=on', f'{disk},shared={name}'],
            append='root=LABEL=kvmbus', script=DATA + '''
    stty -echo
    pr() { chroot /root sg_persist -n "$@" $data; }
    write() {
        chroot /root sh -c "echo $1 | dd of=$data bs=512 conv=sync oflag=direct"
    }
    echo READY
    while read -r line && [ "$line" != end ]; do eval "$line"; done
    true''')

    def do(self, command, good=True):
        self.said += 1
        self.machine.type(f'{command}; echo DONE-{self.said}-$?\n')
        self.machine.wait_for(rf'DONE-{self.said}-\d+\n')
        text, status = re.search(
            rf'(?:.*\n)?(?:READY|DONE-{self.said - 1}-\d+)\n'
            rf'(.*)DONE-{self.said}-(\d+)\n', self.machine.text,
            re.DOTALL).groups()
        expect((status == '0') == good, f'{command}: {status}: {text}')
        return text

    def keys(self):
        return sorted(re.findall('^ +(0x[0-9a-f]+)$',
                                 self.do('pr --in --read-keys'), re.M))

    def end(self):
        self.machine.type('end\n')
        self.machine.script_ok()


@case()
def cluster(run):
    """Two guests reserve the disk that they share, a fixed VHDX."""
    disk = SCRATCH / 'shared.vhdx'
    disk_tool('create', '--force', '--fixed', disk, '8M')
    a, b = (Node(run, *words, disk) for words in (('a', '6.1'), ('b', '6.12')))
    for node in a, b:
        node.machine.wait_for('READY\n')
    a.do('pr --out --register --param-sark=a')
    b.do('pr --out --register --param-sark=b')
    expect(a.keys() == ['0xa', '0xb'], 'a key is missing')
    a.do('pr --out --reserve --param-rk=a --prout-type=1')
    expect('Exclusive' in b.do('pr --in --read-reservation'),
           'b sees no reservation')
    a.do('write from-a')
    b.do('write from-b', good=False)
    expect('from-a' in b.do('head -c 6 $data'), 'b reads something else')

    b.do('pr --out --preempt --param-rk=b --param-sark=a --prout-type=5')
    a.do('pr --in --read-keys', good=False)     # a unit attention says so
    expect(a.keys() == ['0xb'], 'a has still a key')
    a.do('write from-a', good=False)
    b.do('write from-b')
    a.do('pr --out --register --param-sark=aa')
    a.do('write from-a')
    expect('0xaa' in b.do('pr --in --read-full-status'), 'no full status')

    b.do('pr --out --register --param-rk=b --param-sark=bb --param-aptpl')
    port = re.search(r'Key=0xaa\n.*?SAS address: 0x(\w+)',
                     b.do('pr --in --read-full-status'), re.DOTALL)[1]
    b.do('pr --out --register-move --param-rk=bb --param-sark=aa '
         f'--relative-target-port=1 --transport-id=sas,{port} --param-aptpl')
    expect('Key=0xaa\n' in b.do('pr --in --read-reservation'),
           'the reservation was not moved')
    for node in a, b:
        node.end()
    c = Node(run, 'c', '6.1', disk)
    c.machine.wait_for('READY\n')
    expect(c.keys() == ['0xaa', '0xbb'], 'keys are lost')
    c.do('write from-c', good=False)
    c.do('pr --out --register --param-sark=c')
    c.do('pr --out --clear --param-rk=c')
    c.do('write from-c')
    expect(c.keys() == [], 'keys are left')
    c.end()
    disk_tool('check', disk)
    disk_tool('convert', '--force', disk, SCRATCH / 'out.raw')
    with open(SCRATCH / 'out.raw', 'rb') as f:
        expect(f.read(6) == b'from-c', 'something else is on the disk')


@case(('vhd-fixed', '--fixed'), ('vhd-dynamic',))
def root_on_vhd(run, *words):
    """A file system on a VHD is as good as new afterwards."""
    image = SCRATCH / 'root.vhd'
    disk_tool('convert', '--force', *words, root_disk(), image)
    for script in '''
    dd if=/dev/urandom of=/root/var/f bs=1M count=40 conv=fsync || exit 1
    md5sum </root/var/f >/root/var/sum
    chroot /root systemctl --version
    ''', '''
    [ "$(md5sum </root/var/f)" = "$(cat /root/var/sum)" ]
    ''':
        run(disks=[image], append='root=LABEL=kvmbus',
            script=script).script_ok()
        disk_tool('check', image)
    image.unlink()


@case(('vhdx-differencing',))
def login_from_vhdx(run):
    """systemd from a VHDX with a parent, and fio in it."""
    parent, image = SCRATCH / 'parent.vhdx', SCRATCH / 'login.vhdx'
    disk_tool('convert', '--force', root_disk(), parent)
    disk_tool('create', '--force', image, '--parent', parent)
    m = run(disks=[image], append='root=LABEL=kvmbus', memory='768M')
    m.wait_for(r'login: ')
    m.type('root\n')
    m.wait_for(r'# ')
    m.type('fio --name=rand --filename=/var/f --rw=randrw --direct=1 '
           '--bsrange=4k-128k --size=64M --ioengine=libaio --iodepth=16 '
           '--fsync=64 --verify=crc32c --verify_fatal=1 --minimal '
           '>/dev/null; echo fio=$?; poweroff\n')
    m.finish()
    expect('fio=0\n' in m.text, 'fio has read something else')
    disk_tool('check', image)
    image.unlink()
    parent.unlink()


def new_images():
    """Images of all kinds, of 48 MiB, some with something in them already."""
    random_data = new_disk('random', 48 * MIB)
    random_data.write_bytes(os.urandom(48 * MIB))
    for kind in 'vhd', 'vhdx':
        parent = SCRATCH / f'parent.{kind}'
        disk_tool('convert', '--force', random_data, parent)
        for name, words in (('fixed', ['48M', '--fixed']), ('dynamic', ['48M']),
                            ('child', ['--parent', parent])):
            image = SCRATCH / f'{name}.{kind}'
            disk_tool('create', '--force', image, *words)
            yield image
    image = SCRATCH / 'image.qcow2'
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '48M'],
                   check=True)
    yield image


def says(image, md5):
    """The image is in order, and has what a guest had read."""
    out = SCRATCH / 'out.raw'
    disk_tool('convert', '--force', image, out)
    expect(hashlib.md5(out.read_bytes()).hexdigest() == md5,
           f'{image.name} says something else afterwards')
    if image.suffix != '.qcow2':
        disk_tool('check', image)


@case()
def formats(run):
    """What a guest reads last is what the image says to others."""
    images = list(new_images())
    base = SCRATCH / 'random'
    before = hashlib.md5(base.read_bytes()).hexdigest()
    m = run(disks=[f'{root_disk()},ephemeral=on',
                   *[f'{image},lun={n}' for n, image in enumerate(images, 1)],
                   f'{base},ephemeral=on,lun=60'],
            prefix=['env', f'TMPDIR={SCRATCH}'],
            append='root=LABEL=kvmbus', memory='768M', script='''
    for lun in $(seq 1 7) 60; do
        d=/dev/$(ls /sys/class/scsi_device/0:0:0:$lun/device/block)
        chroot /root fio --name=rand --filename=$d --rw=randrw --offset=8M \\
            --bsrange=4k-64k --size=8M --direct=1 --ioengine=libaio \\
            --iodepth=16 --fsync=64 --verify=crc32c --verify_fatal=1 \\
            --minimal >/dev/null || exit 1
        chroot /root blkdiscard -o 12M -l 6M $d || exit 2
        blockdev --flushbufs $d
        echo "DISK $lun $(md5sum <$d)"
    done
    true''')
    m.script_ok()
    seen = dict(re.findall(r'^DISK (\d+) (\w+)', m.text, re.M))
    expect(len(set(seen.values())) == len(images) + 1, f'MD5 sums: {seen}')
    for n, image in enumerate(images, 1):
        says(image, seen[str(n)])
        if image.stem == 'child':
            disk_tool('commit', image)
            says(image, seen[str(n)])
            says(image.with_stem('parent'), seen[str(n)])
    expect(hashlib.md5(base.read_bytes()).hexdigest() == before,
           'an ephemeral disk was written to its file')


@case()
def killed(run):
    """tests/nested/crash.py in short."""
    done = subprocess.run([sys.executable, REPO / 'tests/nested/crash.py',
                           KVMBUS, '2', 'raw:ext4', 'vhd:xfs', 'vhdx:ext4'],
                          capture_output=True, text=True)
    expect(done.returncode == 0, done.stdout + done.stderr)


@case()
def many_disks(run):
    disks = [new_disk(f'many{i}', MIB) for i in range(64)]
    last = new_disk('last', 2 * MIB)
    m = run(disks=[*disks, f'{last},controller=3,lun=63,serial=the-last'],
            script='''
    n=0
    until [ $(ls -d /sys/block/sd* | wc -l) = 65 ]; do
        sleep 0.5; n=$((n + 1)); [ $n -lt 200 ] || exit 1
    done
    grep -l . /sys/block/sd*/device/vpd_pg80 | wc -l
    ''')
    m.script_ok()
