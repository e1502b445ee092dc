#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks: kvmbus beside QEMU, by a tap device and by NAT.

    net.py KVMBUS BUILD

Figures as run.py's.  QEMU has virtio-net-pci on a q35, with vhost off, on the
same tap device; and its user network beside our NAT.  tap-N has N processors,
and as many queues and streams.  A packet of a TCP stream is a full segment,
however many of them pass as one frame; that of TCP_RR is each byte to or fro.
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys

import run

BUILD = pathlib.Path(sys.argv[2])
RR = BUILD / 'tests/bench/rr'
RR_PORT = 7
SEGMENT = 1448
QUEUES = 1, 2, 4
IN_NETWORK = ['ip', 'netns', 'exec', 'bench']

# name: what asks; the ratio to reach
FIGURES = {
    'tcp-out': ('iperf', '', 1.5),
    'tcp-in': ('iperf', '-R', 1.5),
    'udp-out': ('iperf', '-u -b 0 -l 64', 1.5),
    'udp-in': ('iperf', '-u -b 0 -l 64 -R', 1.5),
    'rr': ('rr', '', 1.0),
}

# B and E are short: what the guest prints are exits, too.
SCRIPT = '''
here={here} host={host} streams={streams}
modprobe -a hv_netvsc virtio_net af_packet 2>/dev/null
n=0
until [ -e /sys/class/net/eth0 ]; do n=$((n + 1)); [ $n -lt 100 ] || exit 1
    usleep 100000; done
ip addr add $here/24 dev eth0
ip link set lo up
ip link set eth0 up
until ping -c 1 -W 1 $host >/dev/null; do :; done
iperf() {{
    until chroot /root iperf3 -c $host -t {seconds} -i 0 -J -P $streams "$@" \\
        >/json; do
        grep busy /json || break
        usleep 200000
    done
    tr -d ' \\t\\n' </json >/out
}}
rr() {{ /rr $host {rr_port} {seconds} >/out; }}
figure() {{
    name=$1; shift
    echo B
    "$@"
    echo E
    echo "FIGURE $name $(sed 's/.*"\\(sum\\|sum_received\\)":\\({{[^}}]*}}\\).*/\\2/' /out)"
}}
'''


def script(here, host, streams):
    text = SCRIPT.format(here=here, host=host, streams=streams,
                         seconds=run.SECONDS, rr_port=RR_PORT)
    for name, (tool, words, _) in FIGURES.items():
        text += f'figure {name} {tool} {words}\n'
    return text + 'echo ALLOCATIONS\nfigure udp-out iperf -u -b 0 -l 64\n'


def kvmbus(cpus, net):
    return lambda initrd, disks, append: run.kvmbus_of(
        run.SCRATCH / 'vmlinuz', disks, append, '--initrd', initrd,
        '-c', cpus, '--net', net)


def qemu(cpus, netdev):
    device = 'virtio-net-pci,netdev=n'
    if cpus > 1:
        device += f',mq=on,vectors={2 * cpus + 2}'
    return lambda initrd, disks, append: run.qemu(
        initrd, append, '-M', 'q35', '-smp', cpus, '-netdev', netdev,
        '-device', device, *run.qemu_disks(disks, 'io_uring',
                                           'virtio-blk-pci'))


def kinds():
    """Each with its name, processors, and the two machines."""
    for n in QUEUES:
        tap = 'tap,id=n,ifname=tap0,script=no,downscript=no,vhost=off'
        yield (f'tap-{n}', n, kvmbus(n, 'tap:tap0'),
               qemu(n, tap + (f',queues={n}' if n > 1 else '')))
    yield 'nat', 1, kvmbus(1, 'nat'), qemu(1, 'user,id=n')


def ip(*words, **how):
    return subprocess.run(['ip', '-n', 'bench', *words], check=True, **how)


@contextlib.contextmanager
def network():
    subprocess.run(['ip', 'netns', 'add', 'bench'], check=True)
    ip('link', 'set', 'lo', 'up')
    servers = [subprocess.Popen([*IN_NETWORK, *map(str, words)],
                                stdout=subprocess.DEVNULL)
               for words in (['iperf3', '-s'], [RR, 'serve', RR_PORT])]
    try:
        yield
    finally:
        for server in servers:
            server.kill()
            server.wait()
        subprocess.run(['ip', 'netns', 'delete', 'bench'], check=True)


def new_tap(queues):
    """QEMU takes a device of many queues only if it wants more than one."""
    subprocess.run(['ip', '-n', 'bench', 'link', 'delete', 'tap0'],
                   stderr=subprocess.DEVNULL, check=False)
    ip('tuntap', 'add', 'tap0', 'mode', 'tap',
       *(['multi_queue'] if queues > 1 else []))
    ip('addr', 'add', '10.9.0.1/24', 'dev', 'tap0')
    ip('link', 'set', 'tap0', 'up')


def probe_malloc():
    """Make a trace point of the C library's malloc()."""
    libc = pathlib.Path('/lib/x86_64-linux-gnu/libc.so.6').resolve()
    symbols = subprocess.run(['nm', '-D', libc], capture_output=True,
                             text=True, check=True).stdout
    offset = re.search(r'^(\w+) T malloc@', symbols, re.M)[1]
    (run.TRACING / 'uprobe_events').write_text(
        f'p:bench/malloc {libc}:0x{offset}')


class Guest:
    """One run of the script; what it says is turned into figures."""

    def __init__(self, kind, counters, figures):
        self.kind = kind
        self.counters = counters
        self.figures = figures
        self.before = self.after = {}

    def count(self, pid):
        tids = run.threads(pid)
        return {name: c.read(tids) for name, c in self.counters.items()}

    def figure(self, name, text):
        """What the guest has measured, and the packets of it."""
        if name == 'rr':
            return float(text), 2 * float(text) * run.SECONDS
        got = json.loads(text)
        if name.startswith('tcp'):
            return got['bits_per_second'] / 1e6, got['bytes'] / SEGMENT
        return ((got['packets'] - got['lost_packets']) / got['seconds'],
                got['packets'])

    def add(self, name, text):
        try:
            value, packets = self.figure(name, text)
        except (ValueError, KeyError):
            print(f'{self.kind} {name}: no figure in {text}', file=sys.stderr)
            return
        if 'mallocs' not in self.counters:
            self.figures[f'{self.kind}-{name}'].append(value)
        for what, n in self.after.items():
            if n is not None:
                self.figures[f'{self.kind}-{name}-{what}'].append(
                    (n - self.before[what]) / packets)

    def allocations(self):
        """The last figure is another one's again, with malloc() counted, which
        takes its time."""
        self.counters = {'mallocs': run.Counter('bench/malloc')}

    def run(self, words):
        p = run.start([*IN_NETWORK, *words])
        for line in p.stdout:
            line = line.decode(errors='replace').strip()
            if line == 'B':
                self.before = self.count(p.pid)
            elif line == 'E':
                self.after = self.count(p.pid)
            elif line.startswith('FIGURE '):
                self.add(*line.split(' ', 2)[1:])
            elif line == 'ALLOCATIONS':
                self.allocations()
        p.wait()
        if 'mallocs' in self.counters:
            self.counters['mallocs'].stop()


def unit(name):
    for part, text in (('-mallocs', 'calls/packet'),
                       ('-exits', 'exits/packet'),
                       ('-interrupts', 'irqs/packet'),
                       ('-syscalls', 'calls/packet'), ('tcp', 'Mbit/s'),
                       ('udp', 'packets/s')):
        if part in name:
            return text
    return 'transactions/s'


def goal(name, value, ratio):
    """What kvmbus is meant to reach, and whether it does."""
    for part, (_, _, wanted) in FIGURES.items():
        if name.endswith(part):
            return f'ratio >= {wanted}', ratio >= wanted
    for part, most in (('-exits', 0.1), ('-interrupts', 0.1),
                       ('-mallocs', 0.01)):
        if name.endswith(part) and '-rr-' not in name:
            return f'<= {most}', value <= most
    return None


def main():
    scripts = {name: script('10.0.2.15', '10.0.2.2', n) if name == 'nat' else
               script('10.9.0.2', '10.9.0.1', n) for name, n, *_ in kinds()}
    run.prepare(1, scripts, [RR])
    probe_malloc()
    counters = {'exits': run.Counter('kvm/kvm_exit'),
                'interrupts': run.Counter('kvm/kvm_msi_set_irq'),
                'syscalls': run.Counter('raw_syscalls/sys_enter')}
    root = run.SCRATCH / os.path.basename(
        os.path.realpath(run.GUEST / 'root.img'))
    figures = collections.defaultdict(list), collections.defaultdict(list)
    with network():
        for n in range(run.ROUNDS):
            print(f'round {n + 1} of {run.ROUNDS}', file=sys.stderr)
            for name, cpus, *both in kinds():
                for make, found in zip(both, figures):
                    new_tap(cpus)
                    Guest(name, counters, found).run(make(
                        run.SCRATCH / f'{name}.cpio', [root],
                        'console=ttyS0 quiet panic=-1 root=LABEL=kvmbus'))
    run.show(figures[0], [figures[1]], unit, goal)


if __name__ == '__main__':
    main()
