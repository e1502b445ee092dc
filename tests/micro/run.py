#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one micro guest, or all of a build folder.

    run.py KVMBUS GUEST.elf [OPTION...]     one guest; meson does this
    run.py --all BUILD [NAME...]            what meson would run, without it

A run is good if the guest's results are, if the VMM ends with the status
expected, and if what the options ask for is so.  Failures are printed, with
the end of what the VMM said.  Status 77: there is no KVM that could do it.
"""
import argparse
import contextlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import textwrap
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from share import untaken

SECTOR = 512
DISK_SECTORS = 2048
SKIPPED = 77
KILLED = -1


def parse(words):
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument('kvmbus')
    p.add_argument('guest')
    p.add_argument('--append', default='', help='command line of the guest')
    p.add_argument('--cpus', type=int, default=1)
    p.add_argument('--option', action='append', default=[],
                   help='one more word for kvmbus')
    p.add_argument('--disk', action='store_true',
                   help='1 MiB; each 32-bit word of sector n is n')
    p.add_argument('--status', type=int, default=0, help='of kvmbus')
    p.add_argument('--stderr', action='append', default=[], metavar='REGEX',
                   help='kvmbus says something like that')
    p.add_argument('--boots', type=int, default=1,
                   help='how often the guest starts')
    p.add_argument('--no-plan', action='store_true',
                   help='the guest is not expected to reach its end')
    p.add_argument('--paging-32', action='store_true',
                   help='the guest has paging in 32-bit mode')
    p.add_argument('--pause', action='store_true',
                   help='for a second when the guest asks for it')
    p.add_argument('--timeout', type=int, default=60, help='seconds')
    p.add_argument('--verbose', action='store_true')
    return p.parse_args(words)


def make_disk(path):
    with open(path, 'wb') as f:
        for n in range(DISK_SECTORS):
            f.write(struct.pack('<I', n) * (SECTOR // 4))


def start(o, folder):
    """Status, stdout and stderr of kvmbus."""
    cmd = [os.path.abspath(o.kvmbus), 'run', '--kernel', o.guest, '--console', 'stdio',
           '-c', str(o.cpus), '-m', '64M', '--stats']
    append = f'{o.append} cpus={o.cpus}'.strip()
    cmd += ['--append', append, '--hv-timers', 'on', '--net', 'off'] + o.option
    if o.disk:
        disk = os.path.join(folder, 'disk.img')
        make_disk(disk)
        cmd += ['--disk', disk]
    if o.verbose:
        print('$', *cmd)
    # A guest that hangs is kvmbus's to end; a kvmbus that hangs is ours.
    if '--timeout' not in o.option:
        cmd += ['--timeout', f'{o.timeout}s']
    control = os.path.join(folder, 'control')
    if o.pause:
        cmd += ['--control', control]
    asked = b''
    with subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as p:
        try:
            if o.pause:
                asked = pause(cmd[0], control, p.stdout)
            out, err = p.communicate(timeout=o.timeout + 30)
        except subprocess.TimeoutExpired as e:
            p.kill()
            return KILLED, asked + (e.stdout or b''), e.stderr or b''
    return p.returncode, asked + out, err


def pause(kvmbus, control, out):
    """Pause the machine when it says so; what it said until then."""
    said = b''
    for line in out:
        said += line
        if line.startswith(b'# pause'):
            subprocess.run([kvmbus, 'call', control, 'Pause'], check=True)
            time.sleep(1)
            subprocess.run([kvmbus, 'call', control, 'Resume'], check=True)
            break
    return said


def failures(o, status, out, err):
    """Sentences about what is wrong."""
    bad = [line for line in out if line.startswith(('not ok', 'Bail out!'))]
    boots = [i for i, line in enumerate(out) if line.startswith('TAP version')]
    if status == KILLED:
        bad.append(f'kvmbus hung; killed after {o.timeout + 30} s')
    elif status != o.status:
        bad.append(f'kvmbus ended with status {status}, not {o.status}')
    if len(boots) != o.boots:
        bad.append(f'the guest started {len(boots)} times, not {o.boots}')
    if boots and not o.no_plan:
        last = out[boots[-1]:]
        results = sum(line.startswith(('ok', 'not ok')) for line in last)
        if f'1..{results}' not in last:
            bad.append(f'the guest did not reach its end: {results} results')
    for regex in o.stderr:
        if not re.search(regex, err):
            bad.append(f'kvmbus did not say: {regex}')
    return bad + wrong_exits(out, err)


def wrong_exits(out, err):
    """What the guest says must have left to the VMM, and what did."""
    bad = []
    for line in out:
        if not line.startswith('# exits:'):
            continue
        for name, want in re.findall(r'(\w+)=(\d+)', line):
            got = re.search(rf'\b{name}=(\d+)', err)
            if not got or got[1] != want:
                bad.append(f'{name}: {got[1] if got else "no count"} exits to '
                           f'the VMM, not {want}')
    return bad


def hangs(o):
    """The emulated machine cannot do PAE under nested paging: docs/testing.md."""
    npt = '/sys/module/kvm_amd/parameters/npt'
    if not o.paging_32 or os.environ.get('KVMBUS_MACHINE') != 'emulated':
        return False
    with open(npt, encoding='ascii') as f:
        return f.read().strip() in ('1', 'Y')


def run_one(o):
    if not os.path.exists('/dev/kvm'):
        print('skipped: no /dev/kvm on this machine')
        return SKIPPED
    if hangs(o):
        print('skipped: 32-bit paging needs scripts/with-kvm --npt0')
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        status, out, err = start(o, folder)
    out = out.decode(errors='replace').replace('\r', '').split('\n')
    err = err.decode(errors='replace')
    if '[kvm.offer]' in err:
        print('skipped:', re.search('why: (.*?)  ', err)[1])
        return SKIPPED
    bad = failures(o, status, out, err)
    if o.verbose:
        print('\n'.join(out))
    for line in bad:
        print(line)
    if bad or o.verbose:
        print(*err.split('\n')[-30:], sep='\n')
    results = [line for line in out if line.startswith('ok')]
    skipped = [line.split('# SKIP ')[1] for line in results
               if '# SKIP ' in line]
    if skipped and len(skipped) == len(results) and not bad:
        print('skipped:', skipped[0])
        return SKIPPED
    good = len(results) - len(skipped)
    print(f'{good} results are good, {len(bad)} things are wrong')
    return 1 if bad else 0


def run_all(build, names):
    """What meson has noted about the suite: works in a read-only folder."""
    os.chdir(build)
    with open('meson-info/intro-tests.json', encoding='utf-8') as f:
        tests = {t['name']: t for t in json.load(f)
                 if 'micro' in t['suite'][0] and
                 (not names or t['name'] in names)}
    failed = 0
    for t in map(tests.get, untaken(tests)):
        said = io.StringIO()
        start_time = time.monotonic()
        with contextlib.redirect_stdout(said):
            status = run_one(parse(t['cmd'][1:]))
        took = time.monotonic() - start_time
        if status == SKIPPED:
            print(f'skip {t["name"]}: {said.getvalue().strip()}', flush=True)
        elif status:
            failed += 1
            print(f'not ok {t["name"]} {took:.1f}')
            print(textwrap.indent(said.getvalue(), '    '), flush=True)
        else:
            print(f'ok {t["name"]} {took:.1f}', flush=True)
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    if sys.argv[1:2] == ['--all']:
        sys.exit(run_all(sys.argv[2], sys.argv[3:]))
    sys.exit(run_one(parse(sys.argv[1:])))
