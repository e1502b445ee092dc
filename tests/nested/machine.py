# SPDX-License-Identifier: GPL-2.0-or-later
"""What nested cases are made of: a machine whose console is read."""
import os
import pathlib
import re
import select
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
                 append='', disks=(), cpus=1, memory='512M', timeout=480,
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
        self.error = open(SCRATCH / f'stderr-{kernel}', 'w+')
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

    def wait_for(self, pattern, seconds=480):
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


def root_disk():
    """The copy that there is: the cache may have another one by now."""
    return next(SCRATCH.glob('root-*.img'))


def call(path, *words, error=None):
    """What the machine with --control @path answers, or that it says @error."""
    done = subprocess.run([KVMBUS, 'call', path, *map(str, words)],
                          capture_output=True, text=True, timeout=120)
    good = error in done.stderr if error else done.returncode == 0
    expect(good, f'{words}: {done.stderr or done.stdout}')
    return done.stdout.split()
