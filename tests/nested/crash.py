#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kvmbus killed in the middle of writes; run it by scripts/with-kvm.

    crash.py KVMBUS KILLS [IMAGE:FILESYSTEM...]

A guest writes files to a file system on each disk, one after the other, and
says so when fsync() has returned; older ones are removed, and their blocks
given back.  At some moment kvmbus gets SIGKILL.  Then the images are checked,
and the next guest checks the file systems and that all files are there that
the last one had promised, before it goes on in the same way.  IMAGE is raw,
vhd or vhdx (the last two are dynamic ones), FILESYSTEM ext4 or xfs.

A line for each kill says how many files were promised; the last one is ok.
$KVMBUS_CRASH_SEED chooses other moments.
"""
import os
import random
import select
import re
import subprocess
import sys
import time

from machine import KVMBUS, SCRATCH, Failed, Machine, expect, root_disk

ALL = [f'{image}:{fs}' for image in ('raw', 'vhd', 'vhdx')
       for fs in ('ext4', 'xfs')]
KEPT = 32       # files that are there, once so many have been
UNSEEN = 8      # that may be written after the last one we were told of

GUEST = '''
chroot /root modprobe xfs

device()
{
    echo /dev/$(ls /sys/class/scsi_device/0:0:0:$1/device/block)
}

file() # LUN NUMBER
{
    yes "disk $1, file $2" | head -c $(($2 * 7919 % 150000 + 1))
}

check() # LUN FILESYSTEM FIRST LAST
{
    on=/root/mnt/$1
    mkdir -p $on
    mount -t $2 $(device $1) $on || exit 11
    umount $on
    case $2 in
    ext4)   chroot /root fsck.ext4 -fn $(device $1) || exit 12 ;;
    xfs)    chroot /root xfs_repair -n $(device $1) || exit 13 ;;
    esac
    mount -t $2 $(device $1) $on || exit 14
    for n in $(seq $3 $4); do
        file $1 $n | cmp - $on/$n || exit 15
    done
}

write() # LUN FIRST
{
    n=$2
    old=$(ls /root/mnt/$1)
    while :; do
        file $1 $n | dd of=/root/mnt/$1/$n bs=64k conv=fsync 2>/dev/null ||
            break
        echo "FILE $1 $n"
        rm -f /root/mnt/$1/$((n - KEPT))
        for f in $old; do rm -rf /root/mnt/$1/$f; done
        old=
        n=$((n + 1))
    done
}
'''.replace('KEPT', str(KEPT))


class Disk:
    def __init__(self, lun, kind):
        image, self.fs = kind.split(':')
        self.lun, self.kind = lun, kind
        self.path = SCRATCH / f'crash-{lun}.{image}'
        self.promised = None        # number of the last file
        self.first = 0              # of the files of this run
        small = {'raw': [], 'vhd': ['--block-size', '512K'],
                 'vhdx': ['--block-size', '1M']}[image]
        subprocess.run([KVMBUS, 'disk', 'create', '--force', *small,
                        self.path, '512M'], check=True, capture_output=True)

    def check_image(self, closed):
        """A VHDX that was not closed is mended by who opens it next."""
        done = subprocess.run([KVMBUS, 'disk', 'check', self.path],
                              capture_output=True, text=True)
        dirty = not closed and 'vhdx.dirty' in done.stderr
        expect(done.returncode == 0 or dirty,
               f'{self.kind}: {done.stdout}{done.stderr}')

    def make_script(self):
        return f'chroot /root mkfs.{self.fs} -q $(device {self.lun})\n'

    def check_script(self):
        last = -1 if self.promised is None else self.promised
        first = max(self.first, last - KEPT + 1 + UNSEEN)
        return f'check {self.lun} {self.fs} {first} {last}\n'

    def write_script(self):
        self.first = (self.promised or 0) + 1000
        return f'write {self.lun} {self.first} &\n'

    def hear(self, text):
        found = re.findall(rf'^FILE {self.lun} (\d+)\n', text, re.M)
        expect(found, f'{self.kind}: no file was written')
        self.promised = int(found[-1])
        return self.promised - self.first + 1


def start(disks, script):
    os.environ['TMPDIR'] = str(SCRATCH)
    return Machine(KVMBUS, script=GUEST + script,
                   disks=[f'{root_disk()},ephemeral=on',
                          *[f'{d.path},lun={d.lun}' for d in disks]],
                   append='root=LABEL=kvmbus', memory='768M')


def read_until(machine, end):
    """What the console shows by the time @end."""
    while (left := end - time.monotonic()) > 0:
        if select.select([machine.process.stdout], [], [], left)[0]:
            expect(machine.read(), 'the guest ended')


def kill_while_writing(machine, disks, seconds):
    for d in disks:
        machine.wait_for(rf'(FILE {d.lun} \d+\n[^$]*?){{3}}')
    read_until(machine, time.monotonic() + seconds)
    machine.process.kill()
    while machine.read():
        pass
    machine.process.wait()
    return [d.hear(machine.text) for d in disks]


TRIM = '''
while :; do
    for on in /mnt/*; do chroot /root fstrim $on; done
done
'''


def crash(kills, disks, moments, started):
    prepare = ''.join(d.make_script() for d in disks)
    for n in range(1, kills + 1):
        script = prepare + ''.join(d.check_script() for d in disks) + \
            ''.join(d.write_script() for d in disks) + TRIM
        started.append(start(disks, script))
        files = kill_while_writing(started[-1], disks, moments.uniform(0, 4))
        for d in disks:
            d.check_image(closed=False)
        print(f'kill {n}: files promised: {files}', flush=True)
        prepare = ''
    started.append(start(disks, ''.join(d.check_script() for d in disks)))
    started[-1].script_ok()
    for d in disks:
        d.check_image(closed=True)


def main():
    kills, kinds = int(sys.argv[2]), sys.argv[3:] or ALL
    seed = os.environ.get('KVMBUS_CRASH_SEED', '1')
    started = []
    try:
        disks = [Disk(lun, kind) for lun, kind in enumerate(kinds, 1)]
        crash(kills, disks, random.Random(seed), started)
    except (Failed, subprocess.SubprocessError) as failure:
        print(f'not ok {failure}')
        for machine in started[-1:]:
            machine.close('crash')
            print(machine.text[-4000:], machine.stderr())
        sys.exit(1)
    print(f'ok {kills} kills of {" ".join(kinds)}')


if __name__ == '__main__':
    main()
