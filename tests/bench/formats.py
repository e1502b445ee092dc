#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Image formats beside raw files and QEMU's, by the back ends alone.

    formats.py KVMBUS DRIVE

No guest runs.  One figure a line: name, ours, the other's, the ratio of their
speeds, unit, and what it is meant to be.  Times are the median of
$KVMBUS_BENCH_ROUNDS (5) rounds in which the programs take turns; of requests
they are O_DIRECT.  Calls are system calls for each request, by strace.
"""
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

KVMBUS, DRIVE = map(os.path.abspath, sys.argv[1:3])
ROUNDS = int(os.environ.get('KVMBUS_BENCH_ROUNDS', '5'))
MIB = 1 << 20
SIZE = 256 * MIB
COUNT = 8000
STEP = 65 * 4096        # 4 KiB each, none beside the last one


def run(*words):
    return subprocess.run([str(w) for w in words], check=True, text=True,
                          capture_output=True).stdout


def disk(*words):
    return run(KVMBUS, 'disk', *words)


def drive(image, op, *more, count=COUNT, depth=16, length=4096, step=STEP):
    """Milliseconds and KiB to open, seconds, processor seconds."""
    return [float(x) for x in run(DRIVE, image, op, count, depth, length,
                                  step, *more).split()]


def seconds(image, op, *more, **how):
    return drive(image, op, *more, **how)[2]


def calls(image, op, *more):
    """System calls for each of many requests."""
    with tempfile.NamedTemporaryFile() as f:
        words = [DRIVE, image, op, COUNT, 16, 4096, STEP, *more]
        run('strace', '-f', '-c', '-o', f.name, *words)
        text = pathlib.Path(f.name).read_text()
    return int(re.search(r'^100.00 +\S+ +(?:\d+ +)?(\d+)', text, re.M)[1]) \
        / COUNT


def qemu_bench(image, length, step, count, depth=16):
    text = run('qemu-img', 'bench', '-w', '-f', 'vhdx', '-t', 'none', '-n',
               '-c', count, '-d', depth, '-s', length, '-S', step, image)
    return float(re.search(r'in ([\d.]+) seconds', text)[1])


def figure(name, ours, other, unit, goal):
    ratio = f'{other / ours:6.2f}x' if other and ours else '      -'
    other = '-' if other is None else f'{other:.3f}'
    print(f'{name:22} {ours:10.3f} {other:>10} {ratio} {unit:14} {goal}',
          flush=True)


def turns(name, ours, other, unit, goal):
    """Two functions that return seconds, by turns."""
    took = [(ours(), other()) for _ in range(ROUNDS)]
    figure(name, statistics.median(t[0] for t in took),
           statistics.median(t[1] for t in took), unit, goal)


def transfers(d):
    """4 KiB in what is allocated, and through an overlay, beside a raw file."""
    with open(d / 'raw', 'wb') as f:
        for _ in range(SIZE // MIB):
            f.write(os.urandom(MIB))
    disk('convert', d / 'raw', d / 'a.vhdx')
    disk('convert', d / 'raw', d / 'a.vhd')
    for op in 'read', 'write':
        for name, image, more in (('vhdx', 'a.vhdx', ()),
                                  ('vhd', 'a.vhd', ()),
                                  ('overlay', 'raw', ('overlay',))):
            turns(f'{op}-{name}', lambda: seconds(d / image, op, *more),
                  lambda: seconds(d / 'raw', op), 's', '0.9x of raw')
            figure(f'{op}-{name}-calls', calls(d / image, op, *more),
                   calls(d / 'raw', op), 'per request', '')


def differencing(d):
    """4 KiB of a child beside a raw file: in the parent, in whole blocks of the
    child, and in blocks that it has in part."""
    for kind in 'vhdx', 'vhd':
        children = {name: d / f'{name}.a{kind}'
                    for name in ('below', 'child', 'partial')}
        for child in children.values():
            disk('create', child, '--parent', d / f'a.{kind}')
        seconds(children['child'], 'write', count=SIZE // MIB, length=MIB,
                step=MIB)
        seconds(children['partial'], 'write')
        for name, child in children.items():
            for op in ('read',) if name == 'below' else ('read', 'write'):
                turns(f'{op}-{name}-{kind}', lambda: seconds(child, op),
                      lambda: seconds(d / 'raw', op), 's', '0.9x of raw')


def allocation(d):
    """Each write is the first one of its block; both make the same disk."""
    def fresh():
        disk('create', d / 'new.vhdx', '4G', '--block-size', '1M', '--force')
        return d / 'new.vhdx'
    for name, length in ('4k', 4096), ('64k', 65536):
        turns(f'allocate-{name}',
              lambda: seconds(fresh(), 'write', count=200, length=length,
                              step=MIB),
              lambda: qemu_bench(fresh(), length, MIB, 200), 's',
              '2x of QEMU')


def opening(d):
    disk('create', d / 'huge.vhdx', '64T', '--block-size', '1M')
    disk('create', d / 'huge.vhd', '2040G')
    for name in 'huge.vhdx', 'huge.vhd', 'a.vhdx', 'raw':
        took = [drive(d / name, 'read', count=1) for _ in range(ROUNDS)]
        figure(f'open-{name}', statistics.median(t[0] for t in took), None,
               'ms', '< 20')
        figure(f'open-{name}-memory', statistics.median(t[1] for t in took),
               None, 'KiB', '')


def timed(out, *words):
    """Neither what was there before nor what is still to be written counts."""
    out.unlink(missing_ok=True)
    os.sync()
    begin = time.monotonic()
    run(*words)
    return time.monotonic() - begin


def conversions(d):
    """Half of the disk is a hole; QEMU has to end with a flush, too."""
    with open(d / 'half', 'wb') as f:
        f.truncate(2 * SIZE)
        for at in range(0, 2 * SIZE, 64 * MIB):
            f.seek(at)
            f.write(os.urandom(32 * MIB))
    disk('convert', d / 'half', d / 'h.vhdx')
    disk('convert', d / 'half', d / 'h.vhd')
    names = {'raw': 'raw', 'vhd': 'vpc', 'vhdx': 'vhdx'}
    for image, from_, to in (('h.vhdx', 'vhdx', 'raw'), ('h.vhd', 'vhd', 'raw'),
                             ('half', 'raw', 'raw'), ('half', 'raw', 'vhdx'),
                             ('half', 'raw', 'vhd')):
        out = d / f'out.{to}'
        more = ['-o', 'force_size=on'] if to == 'vhd' else []
        turns(f'convert-{from_}-{to}',
              lambda: timed(out, KVMBUS, 'disk', 'convert', d / image, out),
              lambda: timed(out, 'qemu-img', 'convert', '-t', 'writeback',
                            '-f', names[from_], '-O', names[to], *more,
                            d / image, out), 's', '1x of qemu-img')
        out.unlink()


def main():
    print(f'{"figure":22} {"kvmbus":>10} {"other":>10} {"ratio":>7} '
          f'{"unit":14} goal')
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        for part in transfers, differencing, allocation, opening, conversions:
            part(pathlib.Path(folder))


if __name__ == '__main__':
    main()
