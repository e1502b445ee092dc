#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real operating systems on kvmbus; run it by scripts/with-kvm.

    run.py KVMBUS [CASE...]

Each case boots a Debian kernel with its own Hyper-V drivers.  Output is one
line a case, "ok NAME SECONDS" or "not ok NAME SECONDS: why", and the console
of what failed.  Consoles are kept in $KVMBUS_WORK.
"""
import contextlib
import hashlib
import os
import pathlib
import random
import re
import select
import signal
import socket
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
WORK = pathlib.Path(os.environ['KVMBUS_WORK'])
SCRATCH = pathlib.Path(os.environ['KVMBUS_SCRATCH'])
GUEST = pathlib.Path(os.environ.get(
    'XDG_CACHE_HOME', os.path.expanduser('~/.cache'))) / 'kvmbus/guest'
KVMBUS = os.path.abspath(sys.argv[1])
MIB = 1 << 20
CASES = {}


class Failed(Exception):
    pass


def case(*args):
    """Add a case for each set of arguments: name, then parameters."""
    def add(function):
        for name, *rest in args or [(function.__name__.replace('_', '-'),)]:
            CASES[name] = (function, rest)
        return function
    return add


def expect(condition, why):
    if not condition:
        raise Failed(why)


class Machine:
    """One kvmbus, whose console is read as it comes."""

    def __init__(self, kvmbus, *options, kernel='6.1', script=None, files=(),
                 append='', disks=(), cpus=1, memory='512M', timeout=240,
                 prefix=(), net=('off',)):
        initrd = GUEST / f'initrd-{kernel}'
        if script is not None:
            initrd = self.make_initrd(kernel, script, files)
        command = [*prefix, kvmbus, 'run',
                   '--kernel', GUEST / f'vmlinuz-{kernel}',
                   '--initrd', initrd, '-c', cpus, '-m', memory,
                   '--append', f'console=ttyS0 quiet panic=-1 {append}',
                   '--timeout', timeout]
        for disk in disks:
            command += ['--disk', disk]
        for nic in net:
            command += ['--net', nic]
        self.text = ''
        self.error = open(WORK / f'stderr-{kernel}', 'w+')
        self.process = subprocess.Popen(
            [str(w) for w in (*command, *options)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.error)

    @staticmethod
    def make_initrd(kernel, script, files):
        path = SCRATCH / 'script.sh'
        out = SCRATCH / f'initrd-{kernel}.cpio'
        path.write_text(script)
        subprocess.run([REPO / 'scripts/guest-initrd',
                        GUEST / f'initrd-{kernel}', path, out, *files],
                       check=True)
        return out

    def read(self):
        data = os.read(self.process.stdout.fileno(), 65536)
        self.text += data.decode(errors='replace').replace('\r', '')
        return bool(data)

    def wait_for(self, pattern, seconds=240):
        """Read until the console has shown @pattern."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            left = end - time.monotonic()
            ready = select.select([self.process.stdout], [], [], max(left, 0))
            expect(ready[0] and self.read(),
                   f'the console never showed {pattern!r}')

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def finish(self, status=0):
        """Read to the end; the exit status has to be @status."""
        while self.read():
            pass
        got = self.process.wait()
        expect(got == status, f'kvmbus ended with {got}, not {status}')
        return self

    def stderr(self):
        self.error.seek(0)
        return self.error.read()

    def script_ok(self):
        """The script in the guest ran to its end with status 0."""
        self.finish()
        found = re.search(r'^KVMBUS-STATUS (\d+)', self.text, re.M)
        expect(found, 'the script did not end')
        expect(found[1] == '0', f'the script ended with {found[1]}')
        return self

    def close(self, name):
        if self.process.poll() is None:
            self.process.kill()
            while self.read():
                pass
            self.process.wait()
        (WORK / f'{name}.console').write_text(self.text + self.stderr())


def new_disk(name, size):
    path = SCRATCH / name
    path.unlink(missing_ok=True)
    with open(path, 'wb') as f:
        f.truncate(size)
    return path


def disk_tool(*words):
    return subprocess.run([KVMBUS, 'disk', *map(str, words)], check=True,
                          capture_output=True, text=True)


# Names like sda go to whoever is first; the second disk's LUN is 1.
DATA = 'data=/dev/$(ls /sys/class/scsi_device/0:0:0:1/device/block)\n'


def root_disk():
    """The copy that there is: the cache may have another one by now."""
    return next(SCRATCH.glob('root-*.img'))


NETWORK = (REPO / 'tests/nested/guest/network.sh').read_text()


@contextlib.contextmanager
def server(*command):
    """It runs, until it is killed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def host(*words, prefix=()):
    """A server of tests/nested/net_server.py on this side, with its port."""
    with server(*prefix, sys.executable, REPO / 'tests/nested/net_server.py',
                *words) as process:
        yield int(process.stdout.readline())


@case()
def nat(run):
    """DHCP, DNS by UDP, and TCP; and what NAT keeps from the guest."""
    hosts = SCRATCH / 'resolv.conf'
    hosts.write_text('nameserver 127.0.0.1\n')
    capture = SCRATCH / 'nat.pcapng'
    private = ['unshare', '-m', 'sh', '-c', f'mount --bind {hosts} '
               '/etc/resolv.conf && exec "$@"', 'sh']
    with host('dns', '53'), host('http', '0') as http:
        m = run('--capture', capture, net=['nat,mac=02:00:00:00:00:07'],
                prefix=private,
                script=NETWORK + f'''
    [ $(cat /sys/class/net/eth0/address) = 02:00:00:00:00:07 ] || exit 1
    ping -c 2 -W 5 10.0.2.2 || exit 2
    nslookup some.name.example | grep 10.11.12.13 || exit 3
    wget -q -O /down http://10.0.2.2:{http}/8388608 || exit 4
    [ $(wc -c </down) = 8388608 ] || exit 5
    ask=$(head -c 3000000 /dev/urandom | tee /up | md5sum | cut -c1-32)
    [ "$(nc 10.0.2.2 {http} </up)" = "$ask" ] || exit 6
    for i in $(seq 250); do
        for j in 1 2 3 4; do
            wget -q -O - http://10.0.2.2:{http}/1 >/dev/null || touch /bad &
        done
        wait
    done
    [ ! -e /bad ] || exit 7
    for ip in 169.254.169.254 168.63.129.16 127.0.0.2; do
        ip route add $ip via 10.0.2.2 2>/dev/null
        nc -w 2 $ip {http} </dev/null && exit 8
    done
    ip -6 addr show dev eth0 | grep fec0 || exit 9
    true''')
        m.script_ok()
    expect('LEASE 10.0.2.15 router=10.0.2.2 dns=10.0.2.3' in m.text,
           'the lease is another one')
    recorded = capture.read_bytes()
    expect(recorded[:4] == b'\x0a\x0d\x0d\x0a' and
           len(recorded) > 11000000 and b'\4some\4name\7example' in recorded,
           'the capture lacks what passed')


def call(path, *words, error=None):
    """What the machine with --control @path answers, or that it says @error."""
    done = subprocess.run([KVMBUS, 'call', path, *map(str, words)],
                          capture_output=True, text=True, timeout=120)
    good = error in done.stderr if error else done.returncode == 0
    expect(good, f'{words}: {done.stderr or done.stdout}')
    return done.stdout.split()


@case()
def isolated(run):
    """What it keeps from the guest; a cable pulled, a NIC that comes and goes."""
    control = SCRATCH / 'control'
    with host('http', '0') as http:
        m = run('--control', control, net=['isolated'], script=NETWORK + f'''
    ip route add default via 10.0.2.2
    nc -w 2 10.0.2.2 {http} </dev/null && exit 1
    nslookup some.name.example 10.0.2.3 && exit 2
    soon() {{
        n=0
        until "$@"; do
            n=$((n + 1))
            [ $n -lt 300 ] || exit 3
            usleep 100000
        done
    }}
    cd /sys/class/net
    echo PLUGGED
    soon grep -q 0 eth0/carrier
    echo PULLED
    soon grep -q 1 eth0/carrier
    udhcpc -i eth0 -n -q -t 20 -T 1 -s /bin/true || exit 4
    echo AGAIN
    soon [ -e eth1 ]
    grep 02:00:00:00:00:09 eth1/address || exit 5
    ip link set eth1 up
    udhcpc -i eth1 -n -q -t 20 -T 1 -s /bin/true || exit 6
    echo ADDED
    soon [ ! -e eth1 ]
    true''')
        m.wait_for('PLUGGED')
        call(control, 'SetLink', '0', 'false')
        m.wait_for('PULLED')
        call(control, 'SetLink', '0', 'true')
        m.wait_for('AGAIN')
        expect(call(control, 'AddNic', 'isolated,mac=02:00:00:00:00:09') ==
               ['1'], 'the NIC has another number')
        m.wait_for('ADDED')
        call(control, 'RemoveNic', '1')
        m.script_ok()
    expect('LEASE 10.0.2.15 router= ' in m.text, 'there is a router')


def connects(port, deadline, where='127.0.0.1'):
    """What an echo at @port of the guest answers, with retries."""
    while True:
        try:
            with socket.create_connection((where, port), 10) as s:
                s.sendall(b'echo\n')
                return s.makefile().readline()
        except OSError as e:
            if not isinstance(e, ConnectionRefusedError) or \
                    time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def refused(port):
    try:
        socket.create_connection(('127.0.0.1', port), 10).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


@case()
def forwards(run):
    """A port of the host is open when, and only when, the guest's is, wherever
    the guest is."""
    m = run('-p', '2222:7', '-p', '7007:7007/udp', '-p', '[::1]:2226:7',
            net=['nat'], script=NETWORK + '''
    echo UP
    read -r word
    nc -ll -p 7 -e cat &
    echo LISTENS
    read -r word
    kill %1
    echo CLOSED
    read -r word
    ip addr flush dev eth0
    ip link set eth0 down
    ip link set eth0 address 02:00:00:00:00:42 || exit 1
    ip link set eth0 up
    udhcpc -i eth0 -n -q -t 20 -T 1 -s /udhcpc.sh || exit 2
    nc -ll -p 7 -e cat &
    echo MOVED
    read -r word
    true''')
    m.wait_for('UP\n')
    expect(refused(2222), 'the port takes a client too early')
    m.type('go\n')
    m.wait_for('LISTENS')
    expect(connects(2222, time.monotonic() + 30) == 'echo\n', 'no echo')
    for _ in range(20):
        expect(connects(2222, 0) == 'echo\n', 'no echo')
    expect(connects(2226, time.monotonic() + 30, '::1') == 'echo\n',
           'no echo by IPv6')
    m.type('go\n')
    m.wait_for('CLOSED')
    end = time.monotonic() + 30
    while not refused(2222):
        expect(time.monotonic() < end, 'the port stays open')
        time.sleep(0.1)
    m.type('go\n')
    m.wait_for('MOVED')
    expect('LEASE 10.0.2.16' in m.text, 'the lease is the same')
    for port, where in (2222, '127.0.0.1'), (2226, '::1'):
        expect(connects(port, time.monotonic() + 30, where) == 'echo\n',
               f'no echo from the new place by {where}')
    m.type('go\n')
    m.script_ok()


TAP = (REPO / 'tests/nested/guest/tap.sh').read_text()
CLIENT = REPO / 'tests/nested/guest/net_client.py'
IN_NETWORK = ['ip', 'netns', 'exec', 'tap-test']


@contextlib.contextmanager
def tap_network():
    """A network namespace with tap0; 10.9.1.1 and fd09:1::1 are behind it."""
    def ip(*words, check=True):
        subprocess.run(['ip', *words], check=check)

    ip('netns', 'add', 'tap-test')
    try:
        for words in ('tuntap add tap0 mode tap multi_queue',
                      'addr add 10.9.0.1/24 dev tap0',
                      'addr add fd09::1/64 dev tap0 nodad',
                      'link set tap0 mtu 9000 up', 'link set lo up',
                      'addr add 10.9.1.1/32 dev lo',
                      'addr add fd09:1::1/128 dev lo nodad'):
            ip('-n', 'tap-test', *words.split())
        with host('http', '0', '::', prefix=IN_NETWORK) as http, \
                host('echo', '0', '::', prefix=IN_NETWORK) as echo:
            yield http, echo
    finally:
        ip('netns', 'delete', 'tap-test')


TAP_OFFLOADS = ' '.join(f'{what} {state}' for what in
                        ('lro', 'gro', 'tso', 'sg', 'rx', 'tx')
                        for state in ('off', 'on'))


@case()
def tap(run):
    """Everything that passes a tap device of many queues, by real routing."""
    capture = SCRATCH / 'tap.pcapng'
    sum_of = hashlib.md5(random.Random(2097152).randbytes(2097152)).hexdigest()
    with tap_network() as (http, echo), \
            server(*IN_NETWORK, 'sh', '-c', 'exec iperf3 -s >/dev/null'):
        m = run('--capture', capture, cpus=2, timeout=600,
                net=['tap:tap0'], prefix=IN_NETWORK, memory='768M',
                disks=[root_disk()], append='root=LABEL=kvmbus',
                files=[CLIENT],
                script=f'HERE=2 MTU=9000 SUM={sum_of}\n' + TAP + f'''
    up
    reach 10.9.1.1
    for what in 10.9.1.1 fd09:1::1; do
        client streams $what {http}
    done
    for what in 10.9.0.1 fd09::1; do
        client datagrams $what {echo}
    done
    client connections 10.9.1.1 {http}
    for what in -k -S -l -x -i; do
        chroot /root ethtool $what eth0 || exit 1
    done
    iperf -t 1 -P 4
    iperf -t 1 -P 4 -R
    iperf -t 1 -u -b 0 -l 64
    chroot /root iperf3 -c 10.9.0.1 -t 1000 --bidir -b 20M >/dev/null 2>&1 &
    perf=$!
    set -- {TAP_OFFLOADS}
    while [ $# != 0 ]; do
        chroot /root ethtool -K eth0 $1 $2 || exit 2
        stream 10.9.1.1 {http}
        shift 2
    done
    kill $perf || exit 3
    for n in 1 2 1 2; do
        chroot /root ethtool -L eth0 combined $n || exit 4
        reach 10.9.0.1
        stream fd09:1::1 {http}
    done
    ip link set eth0 down
    echo DOWN; read x
    ip link set eth0 up
    ip -6 addr add fd09::2/64 dev eth0 2>/dev/null
    ip route add default via 10.9.0.1 2>/dev/null
    reach 10.9.0.1
    for i in 1 2 3; do
        rmmod hv_netvsc && up && reach 10.9.1.1
    done
    stream 10.9.1.1 {http}
    echo DELETE; read x
    n=0
    while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do
        n=$((n + 1)); [ $n -lt 100 ] || exit 5; usleep 100000
    done
    ping -c 1 -W 1 10.9.0.1 && exit 6
    true''')
        m.wait_for('DOWN', 600)
        with host('flood', '9', '10.9.0.2', prefix=IN_NETWORK):
            m.type('\n')
            m.wait_for('DELETE', 600)
        subprocess.run(['ip', '-n', 'tap-test', 'link', 'delete', 'tap0'],
                       check=True)
        m.type('\n')
        m.script_ok()
    listed = subprocess.run(['tcpdump', '-nr', capture, '-c', '20'],
                            capture_output=True, text=True)
    expect(listed.returncode == 0 and 'IP 10.9.0.2' in listed.stdout,
           f'tcpdump cannot read the capture: {listed.stderr}')


@case()
def socket_cable(run):
    """Two machines, of two kernels, back to back."""
    cable = f'socket:{SCRATCH / "cable"}'
    machines = {}
    for here, kernel in (2, '6.1'), (1, '6.12'):
        mac = f'mac=02:00:00:00:00:0{here}'
        machines[here] = run(
            kernel=kernel, net=[f'{cable},{mac}'],
            script=f'HERE={here}\n' + TAP + '''
    up
    echo UP; read x
    if [ $HERE = 1 ]; then
        head -c 3000000 /dev/urandom >/f
        md5sum </f
        nc -l -p 7 </f
    else
        reach 10.9.0.1
        until nc 10.9.0.1 7 >/f; do usleep 100000; done
        md5sum </f
    fi
    true''')
    for m in machines.values():
        m.wait_for('UP\n')
        m.type('\n')
    sums = [re.findall('^[0-9a-f]{32}', m.script_ok().text, re.M)
            for m in machines.values()]
    expect(sums[0] == sums[1] and len(sums[0]) == 1, f'MD5: {sums}')


# TLFS: FD-05 FD-58 FD-61 SYNIC-22 SYNIC-56 SYNIC-57 HC-87
@case(('login-6.1-1-cpu', '6.1', 1), ('login-6.1-2-cpus', '6.1', 2),
      ('login-6.12-1-cpu', '6.12', 1), ('login-6.12-2-cpus', '6.12', 2))
def login(run, kernel, cpus):
    m = run(kernel=kernel, cpus=cpus, append='root=LABEL=kvmbus',
            disks=[root_disk()], memory='768M')
    m.wait_for(r'login: ')
    m.type('root\n')
    m.wait_for(r'# ')
    m.type('echo cpus=$(nproc); mount | grep " / "; poweroff\n')
    m.finish()
    expect(f'cpus={cpus}\n' in m.text, 'nproc says otherwise')
    expect('/dev/sda on / type ext4' in m.text, 'the root is elsewhere')


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
        --size=12M --numjobs=5 --offset_increment=12M --iodepth=8 \\
        --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 \\
        --minimal || exit 3
    grep . "$1/interrupts" "$2/interrupts"
    ''')
    m.script_ok()


@case()
def fio_verify(run):
    m = run(disks=[root_disk(), new_disk('data', 1024 * MIB)],
            append='root=LABEL=kvmbus', script=DATA + '''
    chroot /root fio --name=seq --filename=$data --rw=write --bs=1M \\
        --size=1G --direct=1 --ioengine=libaio --iodepth=8 \\
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
def modules_reload(run):
    m = run(cpus=2, disks=[new_disk('data', 64 * MIB)], script='''
    set -e
    for i in 1 2 3 4 5; do
        rmmod hv_storvsc
        [ ! -b /dev/sda ]
        modprobe hv_storvsc
        n=0
        until [ -b /dev/sda ]; do sleep 0.1; n=$((n + 1)); [ $n -lt 600 ]; done
        dd if=/dev/sda of=/dev/null bs=1M count=8
    done
    for i in 1 2 3 4 5; do
        rmmod hv_storvsc
        rmmod hv_vmbus
        modprobe hv_vmbus
        modprobe hv_storvsc
        n=0
        until [ -b /dev/sda ]; do sleep 0.1; n=$((n + 1)); [ $n -lt 600 ]; done
        dd if=/dev/sda of=/dev/null bs=1M count=8
    done
    ''')
    m.script_ok()


@case()
def reboots(run):
    """20 times, by turns the ways that Linux knows; the disk counts."""
    m = run(disks=[new_disk('data', MIB)], timeout=900, script='''
    read n </dev/sda
    n=$((${n:-0} + 1))
    echo "BOOT $n"
    echo $n | dd of=/dev/sda conv=notrunc,fsync 2>/dev/null
    [ $n -gt 20 ] && exit 0
    reboot -f
    sleep 1000
    ''')
    m.wait_for('BOOT 21', 850)
    m.script_ok()


# TLFS: CRASH-09 CRASH-10
@case()
def panic(run):
    m = run(script='echo c >/proc/sysrq-trigger')
    m.finish(120)
    expect('panic' in m.stderr() and 'sysrq' in m.stderr(),
           'stderr does not tell of the panic')


@case()
def panic_and_reset(run):
    m = run('--on-crash', 'reset', disks=[new_disk('data', MIB)], script='''
    read n </dev/sda
    [ "$n" = crashed ] && exit 0
    echo crashed | dd of=/dev/sda conv=notrunc,fsync
    echo c >/proc/sysrq-trigger
    ''')
    m.script_ok()


# TLFS: HC-89 OSID-07
@case(('kexec-6.1', '6.1'), ('kexec-6.12', '6.12'))
def kexec(run, kernel):
    initrd = SCRATCH / 'initrd.first'
    subprocess.run(['cp', '-L', GUEST / f'initrd-{kernel}', initrd],
                   check=True)
    m = run(kernel=kernel, cpus=2, disks=[root_disk()], memory='1G',
            append='root=LABEL=kvmbus',
            files=[os.path.realpath(GUEST / f'vmlinuz-{kernel}'), initrd],
            script='''
    grep -q second /proc/cmdline && exit 0
    mkdir /root/run/k
    mv /vmlinuz* /initrd.first /root/run/k
    echo '#!/bin/sh' >/kvmbus.sh
    (cd /; echo kvmbus.sh | cpio -o -H newc) >>/root/run/k/initrd.first
    sed -i 's/^exit 1$/exit 0/' /kvmbus.sh
    chroot /root sh -c 'kexec -s -l /run/k/vmlinuz* \\
        --initrd=/run/k/initrd.first --reuse-cmdline \\
        --append="$(cat /proc/cmdline) second"' || exit 1
    sync
    chroot /root kexec -e
    ''')
    m.finish()
    expect(m.text.count('KVMBUS-INIT') == 2, 'there was no second boot')
    expect('KVMBUS-STATUS 0' in m.text, 'the second boot did not end well')


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
    data, name = new_disk('data', 48 * MIB), SCRATCH / 'nbd.sock'
    server = serve(data, name)
    m = run(disks=[f'{root},backing=on', f'nbd+unix:///disk?socket={name}'],
            append='root=LABEL=kvmbus', script=DATA + '''
    for at in 0 16 32; do
        chroot /root fio --name=rand --filename=$data --rw=randwrite \\
            --bsrange=4k-64k --offset=${at}M --size=16M --direct=1 \\
            --ioengine=libaio --iodepth=16 --fsync=64 --verify=crc32c \\
            --verify_fatal=1 --minimal || exit 1
    done
    dd if=/dev/urandom of=/root/var/f bs=1M count=8 conv=fsync
    sync
    chroot /root fstrim -v /
    ''')
    for third in 1, 2, 3:
        while blocks(data) * 512 < third * 16 * MIB - 8 * MIB:
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


@case()
def dvd(run):
    """Discs come and go, by the guest's wish and by the user's."""
    first, first_sum = new_iso('first.iso', 'FIRST', 24 * MIB)
    second, second_sum = new_iso('second.iso', 'SECOND', 3 * MIB)
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
    """Two guests reserve the disk that they share."""
    disk = new_disk('shared.img', 8 * MIB)
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
    expect(disk.read_bytes()[:6] == b'from-c', 'something else is on the disk')


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
            --bsrange=4k-64k --size=16M --direct=1 --ioengine=libaio \\
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
def user_errors(run):
    """What tests/cli could not try where Linux cannot be booted."""
    done = subprocess.run([sys.executable, REPO / 'tests/cli/run.py', KVMBUS,
                           'memory'],
                          env={**os.environ, 'TMPDIR': str(SCRATCH)},
                          capture_output=True, text=True)
    wrong = [line for line in done.stdout.splitlines()
             if line.startswith('not ok')]
    expect(done.returncode == 0, '; '.join(wrong) or done.stderr)
    expect('ok memory-too-small' in done.stdout, 'a case did not run')


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


@case()
def timeout(run):
    m = run(script='sleep 1000', timeout=20)
    m.finish(124)
    expect('run.timeout' in m.stderr(), 'stderr does not say why')


@case()
def sigterm(run):
    m = run(script='echo READY; sleep 1000')
    m.wait_for('READY')
    m.process.send_signal(signal.SIGTERM)
    m.finish(143)


def capabilities(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return {k: int(v, 16) for k, v in
            re.findall(r'^(Cap\w+):\t(\w+)', status, re.M)}


@case()
def root_drops_capabilities(run):
    m = run(script='echo READY; read x')
    m.wait_for('READY')
    caps = capabilities(m.process.pid)
    status = pathlib.Path(f'/proc/{m.process.pid}/status').read_text()
    m.type('\n')
    m.script_ok()
    expect(not any(caps.values()), f'capabilities are left: {caps}')
    expect('NoNewPrivs:\t1' in status, 'new privileges can be had')


@case()
def ordinary_user(run):
    group = 65533
    if os.environ['KVMBUS_MACHINE'] == 'emulated':
        os.chown('/dev/kvm', 0, group)
        os.chmod('/dev/kvm', 0o660)
    else:
        group = os.stat('/dev/kvm').st_gid
    disk = new_disk('data', MIB)
    os.chown(disk, 65534, 65534)
    for folder in SCRATCH.parent, SCRATCH:
        os.chmod(folder, 0o755)
    kernel = SCRATCH / 'vmlinuz'
    subprocess.run(['cp', '-L', GUEST / 'vmlinuz-6.1', kernel], check=True)
    m = run('--kernel', kernel, disks=[disk], script='[ -b /dev/sda ]',
            prefix=['setpriv', '--reuid=65534', '--regid=65534',
                    f'--groups={group}', '--no-new-privs'])
    m.script_ok()


def run_case(name):
    function, parameters = CASES[name]
    started = []

    def run(*options, **how):
        started.append(Machine(KVMBUS, *options, **how))
        return started[-1]

    begin = time.monotonic()
    why = None
    try:
        function(run, *parameters)
    except (Failed, OSError, subprocess.SubprocessError) as failure:
        why = str(failure)
    for machine in started:
        machine.close(name)
    seconds = time.monotonic() - begin
    if why is None:
        print(f'ok {name} {seconds:.1f}', flush=True)
        return True
    print(f'not ok {name} {seconds:.1f}: {why}', flush=True)
    for machine in started:
        tail = (machine.text + machine.stderr()).splitlines()[-25:]
        print('\n'.join('    ' + line for line in tail), flush=True)
    return False


def main():
    results = [run_case(name) for name in sys.argv[2:] or CASES]
    sys.exit(not all(results))


if __name__ == '__main__':
    main()
