# SPDX-License-Identifier: GPL-2.0-or-later
"""Nested cases: NICs."""
import contextlib
import hashlib
import pathlib
import random
import re
import socket
import subprocess
import sys
import time

from machine import REPO, SCRATCH, call, case, expect, root_disk

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


def wait_for_trace(m, text, seconds=60):
    """Its file is opened anew, as the machine writes where @m.error is."""
    end = time.monotonic() + seconds
    while text not in pathlib.Path(m.error.name).read_text():
        expect(time.monotonic() < end, f'the machine never said {text!r}')
        time.sleep(0.1)


@case()
def forwards(run):
    """A port of the host is open when, and only when, the guest's is, wherever
    the guest is."""
    m = run('-p', '2222:7', '-p', '7007:7007/udp', '-p', '[::1]:2226:7',
            '--trace', 'net', net=['nat'], script=NETWORK + '''
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
    ip addr del 10.0.2.16/24 dev eth0 || exit 3
    ip addr add 10.0.2.77/24 dev eth0 || exit 4
    ping -c 1 -W 5 10.0.2.2 || exit 5
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
    wait_for_trace(m, 'nat.guest addr=0xa00024d')
    expect(connects(2222, time.monotonic() + 30) == 'echo\n',
           'no echo from the address that nobody was told of')
    m.type('go\n')
    m.script_ok()


@case()
def passt(run):
    """passt, which kvmbus starts: a lease, TCP both ways, and its end."""
    inside = ['ip', 'netns', 'exec', 'passt-test']
    subprocess.run(['ip', 'netns', 'add', 'passt-test'], check=True)
    try:
        for words in ('tuntap add out mode tap', 'link set lo up',
                      'addr add 10.8.0.2/24 dev out', 'link set out up',
                      'route add default via 10.8.0.1'):
            subprocess.run(['ip', '-n', 'passt-test', *words.split()],
                           check=True)
        with host('http', '0', prefix=inside) as http:
            m = run(net=['passt'], prefix=inside, script=NETWORK + f'''
    wget -q -O /down http://10.8.0.1:{http}/1048576 || exit 1
    md5sum </down
    mkfifo /in
    exec 3<>/in
    nc 10.8.0.1 {http} </in >/got &
    head -c 1000000 /dev/urandom >/up
    printf 'PUT /1000000\\n\\n' >&3
    cat /up >&3
    wait $!
    [ "$(cat /got)  -" = "$(md5sum </up)" ] || exit 2
    echo PASSED; read x
    n=0
    while [ $(cat /sys/class/net/eth0/carrier) = 1 ]; do
        n=$((n + 1)); [ $n -lt 100 ] || exit 3; usleep 100000
    done
    true''')
            m.wait_for('PASSED')
            subprocess.run(['pkill', '-P', str(m.process.pid), 'passt'],
                           check=True)
            m.type('\n')
            m.script_ok()
    finally:
        subprocess.run(['ip', 'netns', 'delete', 'passt-test'], check=True)
    expect('LEASE 10.8.0.2 router=10.8.0.1' in m.text,
           'the lease is another one')
    expect(hashlib.md5(random.Random(1048576).randbytes(1048576)).hexdigest()
           in m.text, 'what came is not what was sent')
    expect('passt has ended' in m.stderr(), 'nobody was told')


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


TAP_SUM = hashlib.md5(random.Random(524288).randbytes(524288)).hexdigest()


def tap_machine(run, kernel, script, *options):
    return run(*options, kernel=kernel, cpus=2, timeout=1500,
               net=['tap:tap0'], prefix=IN_NETWORK, memory='768M',
               disks=[root_disk()], append='root=LABEL=kvmbus',
               files=[CLIENT],
               script=f'HERE=2 MTU=9000 SUM={TAP_SUM}\n' + TAP + script)


def changes(http, offloads, channels):
    """In the guest: what ethtool changes while streams pass."""
    offloads = ' '.join(f'{what} {state}' for what in offloads
                        for state in ('off', 'on'))
    return f'''
    chroot /root iperf3 -c 10.9.0.1 -t 1000 --bidir -b 20M >/dev/null 2>&1 &
    perf=$!
    set -- {offloads}
    while [ $# != 0 ]; do
        chroot /root ethtool -K eth0 $1 $2 || exit 2
        stream 10.9.1.1 {http}
        shift 2
    done
    kill $perf || exit 3
    for n in {channels}; do
        chroot /root ethtool -L eth0 combined $n || exit 4
        reach 10.9.0.1
        stream fd09:1::1 {http}
    done
'''


# A link that was down has lost its IPv6 address and its route.
TAP_UP_AGAIN = '''
    ip link set eth0 up
    ip -6 addr add fd09::2/64 dev eth0 2>/dev/null
    ip route add default via 10.9.0.1 2>/dev/null
    reach 10.9.0.1
'''


@case()
def tap(run):
    """Everything that passes a tap device of many queues, by real routing."""
    capture = SCRATCH / 'tap.pcapng'
    with tap_network() as (http, echo), \
            server(*IN_NETWORK, 'sh', '-c', 'exec iperf3 -s >/dev/null'):
        m = tap_machine(run, '6.1', f'''
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
    ip link set eth0 down
    echo DOWN; read x
''' + TAP_UP_AGAIN + f'''
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
    true''', '--capture', capture)
        m.wait_for('DOWN', 1500)
        with host('flood', '9', '10.9.0.2', prefix=IN_NETWORK):
            m.type('\n')
            m.wait_for('DELETE', 1500)
        subprocess.run(['ip', '-n', 'tap-test', 'link', 'delete', 'tap0'],
                       check=True)
        m.type('\n')
        m.script_ok()
    listed = subprocess.run(['tshark', '-nr', capture, '-c', '1000'],
                            capture_output=True, text=True)
    expect(listed.returncode == 0 and '10.9.0.2 ' in listed.stdout and
           'Malformed' not in listed.stdout,
           f'tshark cannot read the capture: {listed.stderr}')


@case()
def tap_changes(run):
    """Offloads and channels come and go under load."""
    with tap_network() as (http, _), \
            server(*IN_NETWORK, 'sh', '-c', 'exec iperf3 -s >/dev/null'):
        m = tap_machine(run, '6.1', 'up; reach 10.9.1.1\n' + changes(
            http, ('lro', 'gro', 'tso', 'sg', 'rx', 'tx'), '1 2 1 2') + 'true')
        m.script_ok()


@case(('tap-6.12',))
def tap_newer(run):
    """A newer driver: less of each, as the streams under load take long."""
    with tap_network() as (http, _), \
            server(*IN_NETWORK, 'sh', '-c', 'exec iperf3 -s >/dev/null'):
        m = tap_machine(run, '6.12', f'''
    up
    reach 10.9.1.1
    for what in 10.9.1.1 fd09:1::1; do
        client streams $what {http}
    done
    for what in -k -l -x; do
        chroot /root ethtool $what eth0 || exit 1
    done
''' + changes(http, ('gro', 'tso'), '1 2') + '''
    ip link set eth0 down
''' + TAP_UP_AGAIN + f'''
    rmmod hv_netvsc && up && reach 10.9.1.1
    stream 10.9.1.1 {http}''')
        m.script_ok()


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
