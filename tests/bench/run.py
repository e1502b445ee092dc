#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""kvmbus beside QEMU on the same machine, kernel and file.

    run.py KVMBUS

One figure a line: name, kvmbus, QEMU, their ratio, unit, and what kvmbus is
meant to reach.  Each is the median of $KVMBUS_BENCH_ROUNDS (3) rounds in which
the machines take turns, a disk figure of $KVMBUS_BENCH_SECONDS (5) each time.
QEMU has virtio-blk on a q35 with an iothread and cache=none, by io_uring and by
native AIO, of which the better figure counts; its start is microvm's.  Times
of an emulated machine are not those of hardware; only figures of one run
compare, and only when nothing else runs.
"""
import collections
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
KVMBUS = os.path.abspath(sys.argv[1])
SCRATCH = pathlib.Path(os.environ['KVMBUS_SCRATCH'])
GUEST = pathlib.Path(os.environ.get(
    'XDG_CACHE_HOME', os.path.expanduser('~/.cache'))) / 'kvmbus/guest'
TRACING = pathlib.Path('/sys/kernel/tracing')
MIB = 1 << 20
RAM = 512 * MIB
SECONDS = int(os.environ.get('KVMBUS_BENCH_SECONDS', '5'))
ROUNDS = int(os.environ.get('KVMBUS_BENCH_ROUNDS', '3'))
IDLE_SECONDS = 6

# name: fio's rw, bs, iodepth; the ratio to reach
FIO = {
    'randread-qd1': ('randread', '4k', 1, 1.2),
    'randwrite-qd1': ('randwrite', '4k', 1, 1.2),
    'randread-qd32': ('randread', '4k', 32, 2.0),
    'randwrite-qd32': ('randwrite', '4k', 32, 2.0),
    'read-1m': ('read', '1M', 4, 1.2),
    'write-1m': ('write', '1M', 4, 1.2),
}

# B and E are short: what the guest prints are exits, too.
SCRIPT = f'''
disk=/dev/$(ls /sys/class/scsi_device/0:0:0:1/device/block 2>/dev/null)
[ -b $disk ] || disk=/dev/vdb
echo IDLE; sleep {IDLE_SECONDS + 4}
run() {{
    echo B
    chroot /root fio --name=b --filename=$disk --rw=$2 --bs=$3 --iodepth=$4 \\
        --ioengine=libaio --direct=1 --size=512M --runtime={SECONDS} \\
        --time_based --minimal >/fio.out
    echo E
    echo "FIO $1 $(cut -d';' -f5,7,8,48,49 </fio.out)"
}}
''' + ''.join(f'run {name} {rw} {bs} {depth}\n'
              for name, (rw, bs, depth, _) in FIO.items())


def kvmbus(initrd, disks, append):
    return kvmbus_of(SCRATCH / 'vmlinuz', disks, append, '--initrd', initrd)


def kvmbus_of(kernel, disks, append, *words):
    words = [KVMBUS, 'run', '--kernel', kernel, '-c', 1, '-m',
             f'{RAM // MIB}M', '--append', append, *words]
    for disk in disks:
        words += ['--disk', disk]
    return words


def qemu(initrd, append, *words):
    return qemu_of(SCRATCH / 'vmlinuz', append, '-cpu', 'host', '-initrd',
                   initrd, *words)


def qemu_of(kernel, append, *words):
    return ['qemu-system-x86_64', '-accel', 'kvm', '-m', f'{RAM // MIB}M',
            '-nodefaults', '-no-user-config', '-display', 'none', '-serial',
            'stdio', '-no-reboot', '-kernel', kernel, '-append', append,
            *words]


def qemu_disks(disks, aio, device):
    for i, disk in enumerate(disks):
        yield from ('-object', f'iothread,id=t{i}', '-drive',
                    f'id=d{i},file={disk},format=raw,if=none,cache=none,'
                    f'discard=unmap,aio={aio}',
                    '-device', f'{device},drive=d{i},iothread=t{i}')


def microvm(initrd, disks, append):
    return qemu(initrd, f'{append} reboot=t', '-M',
                'microvm,pit=off,pic=off,rtc=on',
                *qemu_disks(disks, 'io_uring', 'virtio-blk-device'))


def q35(aio):
    def make(initrd, disks, append):
        return qemu(initrd, append, '-M', 'q35',
                    *qemu_disks(disks, aio, 'virtio-blk-pci'))
    return make


class Counter:
    """How often a trace point was passed, by the kernel's own count, for each
    thread and for each value of the fields."""

    def __init__(self, event, *fields):
        self.folder = TRACING / 'events' / event
        self.fields = fields
        self.trigger = 'hist:keys=' + ','.join(('common_pid',) + fields)
        try:
            (self.folder / 'trigger').write_text(self.trigger)
        except OSError as error:
            print(f'{event} is not counted: {error}', file=sys.stderr)

    def stop(self):
        """Where being counted costs something."""
        (self.folder / 'trigger').write_text('!' + self.trigger)

    def by_values(self, tids):
        """Hits of these threads by the fields' values; None: not known."""
        try:
            text = (self.folder / 'hist').read_text()
        except OSError:
            return None
        hits = collections.Counter()
        for key, count in re.findall(r'\{(.*)\} hitcount: +(\d+)', text):
            tid, *values = map(int, re.findall(r': +(\d+)', key))
            if tid in tids:
                hits[tuple(values)] += int(count)
        return hits

    def read(self, tids):
        hits = self.by_values(tids)
        return None if hits is None else sum(hits.values())


def threads(pid):
    return {int(t.name) for t in pathlib.Path(f'/proc/{pid}/task').iterdir()}


def switches(pid):
    """Times that any thread of the process went to sleep."""
    return sum(int(re.search(r'^voluntary_ctxt_switches:\s+(\d+)', text, re.M)[1])
               for text in (pathlib.Path(f'/proc/{t}/status').read_text()
                            for t in threads(pid)))


def private_mib(pid):
    """Memory that only this process has, its guest's RAM apart."""
    text = pathlib.Path(f'/proc/{pid}/smaps').read_text()
    total = 0
    for block in re.split(r'\n(?=[0-9a-f]+-[0-9a-f]+ )', text):
        size = int(re.search(r'^Size:\s+(\d+)', block, re.M)[1])
        if 'guest-ram' not in block and size < RAM // 1024:
            total += sum(int(n) for n in
                         re.findall(r'^Private_\w+:\s+(\d+)', block, re.M))
    return total / 1024


def start(words):
    return subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def boot_seconds(make, initrd):
    begin = time.monotonic()
    p = start(make(initrd, [SCRATCH / 'data'], 'console=ttyS0 quiet panic=-1'))
    seconds = float('nan')
    for line in p.stdout:
        if line.startswith(b'KVMBUS-INIT'):
            seconds = time.monotonic() - begin
            break
    p.stdout.read()
    p.wait()
    return seconds


class Guest:
    """One run of SCRIPT; what it says is turned into figures."""

    def __init__(self, counters, figures):
        self.counters = counters
        self.figures = figures
        self.before = self.after = {}

    def idle(self, pid):
        time.sleep(3)
        before = switches(pid)
        time.sleep(IDLE_SECONDS)
        self.figures['idle-wakeups'].append(
            (switches(pid) - before) / IDLE_SECONDS)

    def count(self, pid):
        tids = threads(pid)
        return {name: c.read(tids) for name, c in self.counters.items()}

    def fio(self, pid, name, text):
        error, rbw, riops, wbw, wiops = map(float, text.split(';'))
        if error or riops + wiops == 0:
            print(f'{name}: fio failed', file=sys.stderr)
            return
        if '1m' in name:
            self.figures[name].append((rbw + wbw) / 1024)
        else:
            self.figures[name].append(riops + wiops)
        for what, n in self.after.items():
            if n is not None:
                self.figures[f'{name}-{what}'].append(
                    (n - self.before[what]) / ((riops + wiops) * SECONDS))
        if name == 'randwrite-qd32':
            self.figures['private-memory'].append(private_mib(pid))

    def run(self, words):
        p = start(words)
        for line in p.stdout:
            line = line.decode(errors='replace').strip()
            if line == 'IDLE':
                self.idle(p.pid)
            elif line == 'B':
                self.before = self.count(p.pid)
            elif line == 'E':
                self.after = self.count(p.pid)
            elif line.startswith('FIO '):
                self.fio(p.pid, *line.split(' ', 2)[1:])
        p.wait()


def prepare(data_mib, scripts, files=()):
    """The kernel, a disk whose blocks exist, and an initial RAM disk for each
    of the scripts, with the files in it; and trace points can be counted."""
    subprocess.run(['cp', '-L', GUEST / 'vmlinuz-6.1', SCRATCH / 'vmlinuz'],
                   check=True)
    with open(SCRATCH / 'data', 'wb') as f:
        for _ in range(data_mib):
            f.write(bytes(MIB))
    for name, text in scripts.items():
        (SCRATCH / f'{name}.sh').write_text(text)
        subprocess.run([REPO / 'scripts/guest-initrd', GUEST / 'initrd-6.1',
                        SCRATCH / f'{name}.sh', SCRATCH / f'{name}.cpio',
                        *files], check=True)
    if not (TRACING / 'events').exists():
        subprocess.run(['mount', '-t', 'tracefs', 'trace', TRACING],
                       check=False)


def unit(name):
    for part, text in (('-exits', 'exits/request'),
                       ('-syscalls', 'calls/request'), ('boot', 's'),
                       ('wakeups', '1/s'), ('memory', 'MiB'), ('1m', 'MiB/s')):
        if part in name:
            return text
    return 'IOPS'


def goal(name, value, ratio):
    """What kvmbus is meant to reach, and whether it does."""
    if name in FIO:
        wanted = FIO[name][3]
        return f'ratio >= {wanted}', ratio >= wanted
    if name == 'boot-to-init':
        return 'ratio <= 0.5', ratio <= 0.5
    for part, most in ('-exits', 0.1), ('wakeups', 20), ('memory', 8):
        if part in name:
            return f'<= {most}', value <= most
    return None


def show(ours, theirs, unit_of, goal_of):
    print(f'{"figure":24} {"kvmbus":>9} {"qemu":>9} {"ratio":>6}  unit')
    for name, values in ours.items():
        better = max if unit_of(name) in ('IOPS', 'MiB/s') else min
        value = statistics.median(values)
        others = [statistics.median(f[name]) for f in theirs if f[name]]
        other = better(others) if others else float('nan')
        ratio = value / other if other else float('nan')
        wanted = goal_of(name, value, ratio)
        print(f'{name:24} {value:9.2f} {other:9.2f} {ratio:6.2f}  '
              f'{unit_of(name):14}', end='')
        print(f' {wanted[0]}: {"yes" if wanted[1] else "NO"}' if wanted
              else '', flush=True)


def main():
    prepare(512, {'boot': 'exit 0\n', 'fio': SCRIPT})
    counters = {'exits': Counter('kvm/kvm_userspace_exit'),
                'syscalls': Counter('raw_syscalls/sys_enter')}
    root = SCRATCH / os.path.basename(os.path.realpath(GUEST / 'root.img'))
    machines = [(kvmbus, kvmbus), (microvm, q35('io_uring')),
                (None, q35('native'))]
    figures = [collections.defaultdict(list) for _ in machines]
    for n in range(ROUNDS):
        print(f'round {n + 1} of {ROUNDS}', file=sys.stderr)
        for (boot, busy), found in zip(machines, figures):
            if boot:
                found['boot-to-init'].append(
                    boot_seconds(boot, SCRATCH / 'boot.cpio'))
            Guest(counters, found).run(busy(
                SCRATCH / 'fio.cpio', [root, SCRATCH / 'data'],
                'console=ttyS0 quiet panic=-1 root=LABEL=kvmbus'))
    show(figures[0], figures[1:], unit, goal)


if __name__ == '__main__':
    main()
