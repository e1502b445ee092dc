# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of disks that a server has, for run.py."""
import contextlib
import json
import os
import random
import select
import shutil
import subprocess

MIB = 1 << 20
QEMU_NBD = shutil.which('qemu-nbd')


@contextlib.contextmanager
def served(b, path, *words, kind='raw'):
    """A server of the file, and the URI of its export, which is "disk"."""
    name, pid = b / 'nbd.sock', b / 'nbd.pid'
    # It returns when it listens.
    subprocess.run([QEMU_NBD, '--fork', '--pid-file', pid, '-k', name, '-t',
                    '-e', '4', '-x', 'disk', '-f', kind, *words, path],
                   check=True, capture_output=True)
    try:
        yield f'nbd+unix:///disk?socket={name}'
    finally:
        server = int(pid.read_text())
        handle = os.pidfd_open(server)
        os.kill(server, 15)
        select.select([handle], [], [])
        os.close(handle)


def failed(run, words, status, error_id, what=''):
    done = run('disk', *words)
    assert done.returncode == status, (words, done.stderr)
    assert f'[{error_id}]' in done.stderr, (error_id, done.stderr)
    assert '     try: ' in done.stderr and what in done.stderr, done.stderr


def uris(b, run):
    """What is wrong before anything answers."""
    for uri, status, error_id in (
            ('nbd://[::1/x', 64, 'nbd.uri'),
            ('nbd:host:10809', 64, 'nbd.uri'),
            ('nbd+unix:///x', 64, 'nbd.uri'),
            (f'nbd+unix:///x?socket={b / "none"}', 69, 'nbd.connect'),
            ('nbd://127.0.0.1:1/x', 69, 'nbd.connect'),
            ('nbd://no.such.host.invalid/x', 69, 'nbd.connect')):
        failed(run, ['info', uri], status, error_id)
    uri = 'nbd://127.0.0.1:1/x'
    for words in (['create', uri, '1G'], ['resize', uri, '1G'],
                  ['check', uri], ['convert', b / 'disk', uri]):
        failed(run, words, 64, 'disk.uri', 'file')


def servers(b, run):
    raw = b.write('served.img', random.Random(1).randbytes(5 * MIB))
    with served(b, raw) as uri:
        facts = json.loads(run('disk', 'info', '--json', uri).stdout)
        assert facts['format'] == 'raw' and facts['size'] == 5 * MIB, facts
        for name in 'from-nbd.vhdx', 'from-nbd.img':
            done = run('disk', 'convert', uri, b / name)
            assert done.returncode == 0, done.stderr
        assert (b / 'from-nbd.img').read_bytes() == raw.read_bytes()
        failed(run, ['info', uri.replace('/disk', '/other')], 66,
               'nbd.export', "'other'")
        failed(run, ['info', uri.replace('nbd', 'nbds', 1)], 69,
               'nbd.connect')
    failed(run, ['info', uri], 69, 'nbd.connect')
    with served(b, b / 'from-nbd.vhdx') as uri:
        facts = json.loads(run('disk', 'info', '--json', uri).stdout)
        assert facts['format'] == 'vhdx' and facts['size'] == 5 * MIB, facts
        done = run('disk', 'convert', uri, b / 'again.img')
        assert done.returncode == 0, done.stderr
        assert (b / 'again.img').read_bytes() == raw.read_bytes()


def tls(b, run):
    keys = b.folder / 'keys'
    keys.mkdir()
    (keys / 'keys.psk').write_text('alice:' + 64 * '5' + '\n')
    with served(b, b / 'disk', '--object',
                f'tls-creds-psk,id=t,dir={keys},endpoint=server',
                '--tls-creds', 't') as uri:
        failed(run, ['info', uri], 69, 'nbd.refused', 'nbds://')
        good = uri.replace('nbd+unix://', 'nbds+unix://alice@') + \
            f'&tls-psk-file={keys}/keys.psk'
        done = run('disk', 'info', good)
        assert done.returncode == 0, done.stderr
        failed(run, ['info', good.replace('alice', 'bob')], 69, 'nbd.connect',
               'bob')


def functions():
    """Name and function of (box, run); None: it needs qemu-nbd."""
    yield 'nbd-uris', uris
    for f in servers, tls:
        yield f'nbd-{f.__name__}', f if QEMU_NBD else None
