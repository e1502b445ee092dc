#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real operating systems on kvmbus; run it by scripts/with-kvm.

    run.py KVMBUS [CASE...]

Each case boots a Debian kernel with its own Hyper-V drivers.  Output is one
line a case, "ok NAME SECONDS" or "not ok NAME SECONDS: why", and the console
of what failed.  Consoles are kept in $KVMBUS_WORK.
"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

from machine import (CASES, GUEST, KVMBUS, MIB, REPO, SCRATCH, Failed, Machine,
                     case, expect, new_disk, root_disk)

import disks     # adds its cases, as the next one does
import network

sys.path.append(str(REPO / 'tests'))
from share import untaken


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
    m = run(disks=[new_disk('data', MIB)], timeout=1500, script='''
    read n </dev/sda
    n=$((${n:-0} + 1))
    echo "BOOT $n"
    echo $n | dd of=/dev/sda conv=notrunc,fsync 2>/dev/null
    [ $n -gt 20 ] && exit 0
    reboot -f
    sleep 1000
    ''')
    m.wait_for('BOOT 21', 1500)
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


# Whoever shares the cases begins with these.
LONG = ['reboots', 'tap', 'tap-changes', 'tap-6.12', 'nat', 'formats', 'killed',
        'sub-channels']


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
    names = sys.argv[2:] or [*LONG, *(n for n in CASES if n not in LONG)]
    results = [run_case(name) for name in untaken(names)]
    sys.exit(not all(results))


if __name__ == '__main__':
    main()
