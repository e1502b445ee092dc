#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What users can get wrong: exit status, error id, and its three lines.

    run.py KVMBUS [memory]

No guest runs.  "memory" has only the cases that need a KVM for Linux guests.
One line a case: "ok NAME", "not ok NAME: why" or "skip NAME: reason".
"""
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import tempfile

import control
import disk
import nbd

USAGE, DATAERR, NOINPUT, UNAVAILABLE = 64, 65, 66, 69
CANTCREAT, TEMPFAIL, NOPERM = 73, 75, 77
MIB = 1 << 20
KVMBUS = os.path.abspath(sys.argv[1])
HAVE_KVM = os.access('/dev/kvm', os.R_OK | os.W_OK)
IS_ROOT = os.geteuid() == 0


def bzimage(init_size=16 * MIB, payload=4096, truncate=0):
    """The least that passes for a Linux kernel."""
    head = bytearray(1024 + payload)
    head[0x1f1] = 1
    struct.pack_into('<I', head, 0x1f4, payload // 16)
    struct.pack_into('<H', head, 0x1fe, 0xaa55)
    head[0x202:0x206] = b'HdrS'
    struct.pack_into('<H', head, 0x206, 0x20f)
    head[0x211] = 1
    struct.pack_into('<I', head, 0x22c, 0x7fffffff)
    struct.pack_into('<I', head, 0x230, 2 * MIB)
    head[0x234] = 1
    struct.pack_into('<H', head, 0x236, 3)
    struct.pack_into('<I', head, 0x238, 2047)
    struct.pack_into('<Q', head, 0x258, 16 * MIB)
    struct.pack_into('<I', head, 0x260, init_size)
    return bytes(head[:len(head) - truncate])


POWER_OFF = bytes.fromhex('66b80020' '66ba0404' '66ef' 'f4ebfd')
SPIN = bytes.fromhex('ebfe')


def multiboot(code):
    """An ELF32 multiboot image of that code."""
    elf = bytearray(4096)
    struct.pack_into('<16sHHIIIIIHHHHHH', elf, 0,
                     b'\x7fELF\x01\x01\x01', 2, 3, 1, 0x100000, 52, 0, 0, 52,
                     32, 1, 0, 0, 0)
    struct.pack_into('<IIIIIIII', elf, 52, 1, 4096, 0x100000, 0x100000,
                     len(code), 4096, 7, 4096)
    struct.pack_into('<III', elf, 128, 0x1badb002, 0, -0x1badb002 & 0xffffffff)
    return bytes(elf) + code


class Box:
    """A folder with files to be wrong about."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.write('bz', bzimage())
        self.write('mb', multiboot(POWER_OFF))
        self.write('spin', multiboot(SPIN))
        self.write('disk', bytes(MIB))

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def __truediv__(self, name):
        return self.folder / name


def run(*words, prefix=(), **how):
    return subprocess.run([*map(str, prefix), KVMBUS, *map(str, words)],
                          capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, **how)


def check(done, status, error_id, what=''):
    """None, or what is wrong with how it ended."""
    if done.returncode != status:
        return f'status {done.returncode}, not {status}: {done.stderr}'
    if not error_id:
        return None
    lines = done.stderr.splitlines()
    if not lines or not lines[0].startswith('kvmbus: '):
        return f'no first line: {done.stderr!r}'
    if not re.search(rf'why: .*\[{re.escape(error_id)}\]$', done.stderr,
                     re.M | re.S):
        return f'no [{error_id}] in {done.stderr!r}'
    if not re.search(r'^     try: \S', done.stderr, re.M):
        return f'no advice in {done.stderr!r}'
    if what not in done.stderr:
        return f'no {what!r} in {done.stderr!r}'
    return None


def kernel_cases(b):
    """--kernel and --initrd: name, words, status, id, part of the text."""
    b.write('empty', b'')
    b.write('short', bzimage(truncate=2000))
    b.write('text', b'#!/bin/sh\n' * 1000)
    b.write('vmlinux', b'\x7fELF\x02\x01\x01' + bytes(9000))
    b.write('gz', b'\x1f\x8b' + bytes(9000))
    kernel = ['run', '-m', '128M', '--console', 'off', '--kernel']
    yield 'kernel-missing', [*kernel, b / 'none'], NOINPUT, 'kernel.missing', \
        'none'
    yield 'kernel-directory', [*kernel, b.folder], DATAERR, \
        'kernel.missing', 'not a regular file'
    yield 'kernel-empty', [*kernel, b / 'empty'], DATAERR, 'kernel.missing', \
        'empty'
    yield 'kernel-truncated', [*kernel, b / 'short'], DATAERR, \
        'kernel.truncated', ''
    yield 'kernel-is-text', [*kernel, b / 'text'], DATAERR, 'kernel.format', \
        'bzImage'
    yield 'kernel-is-vmlinux', [*kernel, b / 'vmlinux'], DATAERR, \
        'kernel.format', 'vmlinux'
    yield 'kernel-is-gzip', [*kernel, b / 'gz'], DATAERR, 'kernel.format', \
        'gzip'
    yield 'initrd-missing', [*kernel, b / 'bz', '--initrd', b / 'none'], \
        NOINPUT, 'initrd.missing', 'none'
    yield 'command-line-too-long', \
        [*kernel, b / 'bz', '--append', 'x' * 3000], USAGE, \
        'kernel.cmdline', 'shorten'


def memory_cases(b):
    """They reach the loader only where Linux could be booted."""
    b.write('big', bzimage(init_size=600 * MIB))
    with open(b / 'initrd', 'wb') as f:
        f.truncate(200 * MIB)
    kernel = ['run', '--console', 'off', '--timeout', '5s', '--kernel']
    yield 'memory-too-small', [*kernel, b / 'big', '-m', '128M'], DATAERR, \
        'kernel.memory', '-m 603M'
    yield 'initrd-larger-than-memory', \
        [*kernel, b / 'bz', '-m', '128M', '--initrd', b / 'initrd'], \
        DATAERR, 'kernel.memory', 'or more'


def disk_cases(b):
    b.write('odd', bytes(1000))
    b.write('empty-disk', b'')
    words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
             '--timeout', '20s', '--disk']
    yield 'disk-missing', [*words, b / 'none'], NOINPUT, 'disk.missing', ''
    yield 'disk-empty', [*words, b / 'empty-disk'], DATAERR, 'disk.empty', ''
    yield 'disk-odd-size', [*words, b / 'odd'], DATAERR, 'disk.size', '512'
    yield 'disk-directory', [*words, b.folder], DATAERR, 'disk.directory', ''
    yield 'disk-not-a-file', [*words, '/dev/null'], DATAERR, 'disk.kind', ''
    yield 'disk-given-twice', [*words, b / 'disk', '--disk', b / 'disk'], \
        TEMPFAIL, 'disk.locked', ''
    yield 'disk-shared-by-readers', \
        [*words, f'{b / "disk"},ro=on', '--disk', f'{b / "disk"},ro=on'], \
        0, '', ''
    b.write('qcow2', b'QFI\xfb' + bytes(MIB - 4))
    b.write('iso', bytes(32769) + b'CD001' + bytes(MIB - 32774))
    b.write('bad.vhd', bytes(MIB) + b'conectix' + bytes(504))
    yield 'disk-is-no-qcow2', [*words, b / 'qcow2'], DATAERR, \
        'qemu-nbd.failed' if nbd.QEMU_NBD else 'qemu-nbd.missing', 'qemu-'
    yield 'disk-called-raw', [*words, f'{b / "qcow2"},format=raw'], 0, '', ''
    yield 'disk-is-an-iso-for-many', \
        [*words, b / 'iso', '--disk', b / 'iso', '--cdrom', b / 'iso',
         '--cdrom', 'none'], 0, '', ''
    b.write('short.iso', bytes(32769) + b'CD001' + bytes(MIB - 32774 + 512))
    b.write('no-iso', bytes(MIB))
    drive = [*words[:-1], '--cdrom']
    yield 'iso-short', [*words, b / 'short.iso'], DATAERR, 'cdrom.size', \
        'format=raw'
    yield 'iso-short-as-a-disk', [*words, f'{b / "short.iso"},format=raw'], \
        0, '', ''
    yield 'cdrom-short', [*drive, b / 'short.iso'], DATAERR, 'cdrom.size', \
        'sha256sum'
    yield 'cdrom-is-no-iso', [*drive, b / 'no-iso'], 0, '', ''
    yield 'cdrom-missing', [*drive, b / 'none'], NOINPUT, 'disk.missing', ''
    yield 'cdrom-of-no-name', [*drive, ''], USAGE, 'usage', 'FILE|none'
    yield 'cdrom-on-nbd', [*drive, 'nbd://localhost/'], USAGE, 'cdrom.nbd', \
        '--disk'
    yield 'cdrom-written', [*drive, f'{b / "no-iso"},ro=off'], NOINPUT, \
        'disk.missing', 'ro=off'
    yield 'disk-is-a-bad-vhd', [*words, b / 'bad.vhd'], DATAERR, \
        'vhd.footer', ''
    yield 'disk-pauses-for-nobody', [*words, f'{b / "disk"},on-error=pause'], \
        USAGE, 'usage', 'try: give the machine a --control'
    yield 'disk-pauses-for-no-space-ever', \
        [*words, f'{b / "disk"},on-error=pause,ephemeral=4M'], USAGE, \
        'usage', 'ephemeral=on'
    yield 'disk-that-pauses', \
        [*words, f'{b / "disk"},on-error=pause', '--control', b / 'pauses'], \
        0, '', ''
    yield 'disks-that-forget', \
        [*words, b / 'disk', '-x', '--disk', f'{b / "disk"},ro=on'], 0, '', ''
    yield 'disk-that-forgets', \
        [*words, f'{b / "disk"},ephemeral=on', '--disk',
         f'{b / "disk"},ephemeral=4M'], 0, '', ''
    yield 'console-in-no-folder', \
        ['run', '--kernel', b / 'mb', '-m', '16M', '--console',
         'file:/no/such/folder'], CANTCREAT, 'console.file', ''


def can_direct(path):
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
        return True
    except OSError:
        return False


def shared_cases(b):
    words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
             '--timeout', '20s', '--disk']
    disk = b / 'disk'
    yield 'disk-shared-read-only', [*words, f'{disk},shared=a,ro=on'], USAGE, \
        'usage', 'leave ro='
    yield 'disk-shared-by-nobody', [*words, f'{disk},shared='], USAGE, \
        'usage', 'shared=NAME'
    yield 'disk-shared-with-a-writer', \
        [*words, disk, '--disk', f'{disk},shared=a'], TEMPFAIL, \
        'disk.locked', 'shared=NAME'
    run('disk', 'create', b / 'dynamic.vhd', '8M')
    run('disk', 'create', b / 'dynamic.vhdx', '8M')
    run('disk', 'create', b / 'fixed.vhdx', '8M', '--fixed')
    b.write('odd-state', bytes(MIB))
    b.write('odd-state.pr', b'what is this')
    cases = [
        ('two', [f'{disk},shared=a', '--disk', f'{disk},shared=b'], 0, ''),
        ('one-twice', [f'{disk},shared=a', '--disk', f'{disk},shared=a'],
         TEMPFAIL, 'disk.locked'),
        ('vhd', [f'{b / "dynamic.vhd"},shared=a'], DATAERR,
         'disk.shared-format'),
        ('vhdx', [f'{b / "dynamic.vhdx"},shared=a'], DATAERR,
         'disk.shared-format'),
        ('fixed-vhdx', [f'{b / "fixed.vhdx"},shared=a', '--disk',
                        f'{b / "fixed.vhdx"},shared=b'], 0, ''),
        ('nbd', ['nbd://localhost/x,shared=a'], DATAERR,
         'disk.shared-format'),
        ('odd-state', [f'{b / "odd-state"},shared=a'], DATAERR,
         'disk.reservations')]
    for name, how, status, error in cases:
        if name != 'nbd' and not can_direct(disk):
            status, error = UNAVAILABLE, 'disk.shared-direct'
        yield f'disk-shared-{name}', [*words, *how], status, error, ''


def network_cases(b):
    words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
             '--timeout', '20s']
    for mode in 'nat', 'isolated', 'off':
        yield f'net-{mode}', [*words, '--net', mode], 0, '', ''
    yield 'net-8-nics', [*words, *['--net', 'nat'] * 8], 0, '', ''
    yield 'net-9-nics', [*words, *['--net', 'nat'] * 9], USAGE, 'usage', \
        'up to 8 NICs'
    yield 'net-of-no-mode', [*words, '--net', 'bridge'], USAGE, 'usage', \
        'nat, isolated'
    yield 'net-tap-without-name', [*words, '--net', 'tap'], USAGE, 'usage', \
        'tap:NAME'
    yield 'net-tap-name', [*words, '--net', 'tap:a/b'], USAGE, \
        'net.tap-name', '1 to 15'
    yield 'net-socket-folder', [*words, '--net', 'socket:/no/such/folder'], \
        CANTCREAT, 'net.socket', ''
    yield 'net-passt-missing', [*words, '--net', 'passt:/no/such'], \
        UNAVAILABLE, 'net.passt-socket', 'passt --socket /no/such'
    yield 'capture-folder', [*words, '--capture', '/no/such/folder'], \
        CANTCREAT, 'net.capture', ''
    yield 'net-group-address', \
        [*words, '--net', 'nat,mac=01:00:5e:00:00:01'], USAGE, 'usage', \
        'mac=01'
    yield 'net-twins', [*words, *['--net', 'nat,mac=02:00:00:00:00:01'] * 2], \
        USAGE, 'usage', 'same'
    yield 'net-without-vmbus', \
        [*words, '--hv-profile', 'minimal', '--net', 'nat'], USAGE, \
        'hv.no-vmbus', 'NICs'
    yield 'publish', [*words, '-p', '0:22', '-p', '0:53/udp'], 0, '', ''
    yield 'publish-nothing', [*words, '-p', '22:'], USAGE, 'usage', \
        '-p 2222:22'
    yield 'publish-at-half-ipv6', [*words, '-p', '::1:80'], USAGE, \
        'usage', '[::1]:2222:22'
    yield 'publish-at-no-ipv6', [*words, '-p', '[2001:db8::1]:0:22'], \
        UNAVAILABLE, 'net.port-address', '2001:db8::1'
    yield 'publish-at-mapped', [*words, '-p', '[::ffff:127.0.0.1]:0:22'], \
        UNAVAILABLE, 'net.port-address', 'IPv4'
    yield 'publish-without-nat', [*words, '--net', 'off', '-p', '22'], USAGE, \
        'usage', '--net nat'
    yield 'publish-isolated-udp', \
        [*words, '--net', 'isolated', '-p', '0:53/udp'], USAGE, \
        'net.isolated-udp', ''
    yield 'publish-at-no-address', [*words, '-p', '192.0.2.1:0:22'], \
        UNAVAILABLE, 'net.port-address', '192.0.2.1'


def busy_port(b, kind, suffix):
    """The message names who has the port; any free one is printed."""
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(('127.0.0.1', 0))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M']
        problem = check(run(*words, '-p', f'{port}:22{suffix}'), UNAVAILABLE,
                        'net.port-busy', f'process {os.getpid()} (')
        if problem:
            return problem
        done = run(*words, '-p', f'0:22{suffix}')
    if not re.search(r'127\.0\.0\.1:\d+' + suffix + ' leads to port 22',
                     done.stderr):
        return f'no port in {done.stderr!r}'
    return check(done, 0, '')


def privileged_port(b):
    """Root may have low ports, others are told so."""
    words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
             '-p', '999:22']
    if IS_ROOT:
        problem = check(run(*words), 0, '')
        if problem:
            return problem
        os.chmod(b.folder, 0o755)
        drop = ['setpriv', '--bounding-set=-net_bind_service',
                '--inh-caps=-net_bind_service']
        return check(run(*words, prefix=drop), NOPERM, 'net.port-privileged',
                     'CAP_NET_BIND_SERVICE')
    return check(run(*words), NOPERM, 'net.port-privileged', '')


def profile_cases(b):
    """What a profile may be depends on the host."""
    b.write('mine', b'[0x40000003]\neax = 0x66\n')
    b.write('greedy', b'[0x40000003]\neax = 0x160\n')
    b.write('typo', b'[0x40000003]\nrax = 0x60\n')
    words = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
             '--timeout', '20s', '--hv-profile']
    for profile in 'full', 'openvmm', 'minimal', b / 'mine':
        yield f'profile-{getattr(profile, "name", profile)}', \
            [*words, profile], 0, '', ''
        yield f'doctor-{getattr(profile, "name", profile)}', \
            ['doctor', '--hv', '--hv-profile', profile], 0, '', ''
    yield 'profile-of-no-name', [*words, 'ful'], NOINPUT, 'hv.profile', \
        'full, openvmm, minimal, or a file'
    yield 'profile-with-too-much', [*words, b / 'greedy'], DATAERR, \
        'hv.profile', 'AccessStatsReg'
    yield 'profile-misspelt', [*words, b / 'typo'], DATAERR, 'hv.profile', \
        'rax'
    yield 'profile-without-vmbus', \
        [*words, 'minimal', '--disk', b / 'disk'], USAGE, 'hv.no-vmbus', \
        'AccessSynicRegs'
    yield 'doctor-hv-of-no-profile', ['doctor', '--hv-profile', b / 'none'], \
        NOINPUT, 'hv.profile', 'none'


def usage_cases(b):
    words = ['run', '--kernel', b / 'mb']
    yield 'cpus-0', [*words, '-c', '0'], USAGE, 'usage', '1 to 64'
    yield 'cpus-65', [*words, '-c', '65'], USAGE, 'usage', '1 to 64'
    yield 'unknown-option', [*words, '--memroy', '1G'], USAGE, 'usage', \
        'try: --memory'
    yield 'unknown-command', ['rnu'], USAGE, 'usage', 'try: kvmbus run'
    yield 'nothing-to-boot', ['run'], USAGE, 'usage', '--kernel'
    yield 'help', ['help'], 0, '', ''
    yield 'version', ['--version'], 0, '', ''


def report(name, problem):
    if problem is None:
        print(f'ok {name}', flush=True)
    else:
        print(f'not ok {name}: {problem}', flush=True)
    return problem is None


def run_cases(cases):
    return all([report(name, check(run(*words), status, error_id, what))
                for name, words, status, error_id, what in cases])


def locked_by_another(b):
    """The message names the process that has the lock, where it can."""
    hold = ('import fcntl,struct,sys,time; f=open(sys.argv[1],"r+b");'
            'fcntl.lockf(f, fcntl.LOCK_EX); print("held", flush=True);'
            'time.sleep(60)')
    other = subprocess.Popen([sys.executable, '-c', hold, b / 'disk'],
                             stdout=subprocess.PIPE)
    other.stdout.readline()
    done = run('run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
               '--disk', b / 'disk')
    other.kill()
    other.wait()
    return check(done, TEMPFAIL, 'disk.locked', f'process {other.pid}')


def in_private_dev(b, make):
    """kvmbus in a mount namespace whose /dev is what @make leaves there."""
    script = f'mount -t tmpfs none /dev && {make} && exec "$@"'
    return run('run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
               prefix=['unshare', '-m', 'sh', '-c', script, 'sh'])


def device_cases(b):
    if not IS_ROOT:
        for name in 'no-dev-kvm', 'not-kvm', 'no-permission':
            print(f'skip {name}: needs root for a mount namespace')
        return True
    mknod = 'mknod /dev/kvm c 10 232 && chmod 600 /dev/kvm'
    drop = f'{mknod} && exec setpriv --reuid=65534 --clear-groups "$@"'
    os.chmod(b.folder, 0o755)
    return all([
        report('no-dev-kvm', check(in_private_dev(b, 'true'), UNAVAILABLE,
                                   'kvm.missing', 'modprobe')),
        report('not-kvm', check(
            in_private_dev(b, 'mknod /dev/kvm c 1 3'), UNAVAILABLE,
            'kvm.version', '')),
        report('no-permission', check(in_private_dev(b, drop), NOPERM,
                                      'kvm.permission', 'usermod')),
    ])


def paravirtual_case(b):
    if not os.path.exists('/sys/module/kvm_pvm'):
        print('skip paravirtual-kvm: this KVM is not one')
        return True
    done = run('run', '--kernel', b / 'bz', '--console', 'off', '-m', '64M')
    return report('paravirtual-kvm', check(
        done, UNAVAILABLE, 'kvm.paravirtual', 'scripts/with-kvm'))


def apic_case(b):
    if 'no --hv-apic' not in run('doctor').stdout:
        print('skip apic-msrs: this KVM has them')
        return True
    done = run('run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
               '--hv-apic', 'on')
    return report('apic-msrs', check(
        done, UNAVAILABLE, 'kvm.offer', '--hv-apic off'))


def disk_commands(b):
    good = [run_cases(disk.error_cases(b))]
    for name, function in [*disk.functions(KVMBUS), *nbd.functions(KVMBUS)]:
        if not function:
            print(f'skip {name}: needs qemu-utils')
            continue
        try:
            function(b, run)
            good.append(report(name, None))
        except (AssertionError, subprocess.SubprocessError, OSError) as e:
            good.append(report(name, f'{type(e).__name__} {e}'))
    return all(good)


def control_cases(b):
    return all([report(name, function(KVMBUS, b, run, check))
                for name, function in control.functions])


def main():
    with tempfile.TemporaryDirectory() as folder:
        b = Box(folder)
        if 'memory' in sys.argv[2:]:
            return run_cases(memory_cases(b))
        good = [run_cases(usage_cases(b)), disk_commands(b),
                run_cases(control.error_cases(b)),
                report('call-of-another', control.call_of_another(b, run,
                                                                  check)),
                device_cases(b)]
        if not HAVE_KVM:
            print('skip kernels-and-disks: no access to /dev/kvm here')
            return all(good)
        good += [run_cases(kernel_cases(b)), run_cases(disk_cases(b)),
                 run_cases(shared_cases(b)),
                 run_cases(profile_cases(b)), run_cases(network_cases(b)),
                 report('port-busy', busy_port(b, socket.SOCK_STREAM, '')),
                 report('udp-port-busy',
                        busy_port(b, socket.SOCK_DGRAM, '/udp')),
                 report('port-privileged', privileged_port(b)),
                 report('disk-locked', locked_by_another(b)),
                 control_cases(b), paravirtual_case(b), apic_case(b)]
        if os.path.exists('/sys/module/kvm_pvm'):
            print('skip memory-cases: this KVM cannot boot Linux; '
                  'the nested suite has them')
        else:
            good.append(run_cases(memory_cases(b)))
    return all(good)


if __name__ == '__main__':
    sys.exit(not main())
