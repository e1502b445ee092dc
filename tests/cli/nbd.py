# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of disks that a server has, for run.py."""
import contextlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import time

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


def qemu_img(*words):
    subprocess.run(['qemu-img', *map(str, words)], check=True,
                   capture_output=True)


def images(b, run):
    """Each format of others reads as what qemu-img made it from."""
    raw = b.write('kinds.img', random.Random(2).randbytes(MIB) + bytes(MIB))
    for kind in 'qcow2', 'qcow', 'qed', 'vmdk', 'vdi', 'parallels':
        # A name that neither QEMU's options nor its URIs may take apart.
        path = b / f'nbd:k",driver=raw {kind}'
        qemu_img('convert', '-f', 'raw', '-O', kind, raw, f'file:{path}')
        done = run('disk', 'convert', path, b / 'kind.img', '--force')
        assert done.returncode == 0, (kind, done.stderr)
        assert (b / 'kind.img').read_bytes() == raw.read_bytes(), kind
        facts = json.loads(run('disk', 'info', '--json', path).stdout)
        assert facts['size'] == 2 * MIB, facts
    qemu_img('convert', '-f', 'raw', '-O', 'qcow2', raw, b / 'k.qcow2')
    with served(b, b / 'k.qcow2') as uri:
        failed(run, ['convert', uri, b / 'no.img'], 65, 'image.kind',
               'qemu-nbd')


def backing(b, run):
    """An image does not choose what else of its reader's is read."""
    secret = b.write('secret', b'secret' * (MIB // 6 + 1))
    qemu_img('create', '-f', 'qcow2', '-F', 'raw', '-b', secret,
             b / 'child.qcow2', '1M')
    qemu_img('create', '-f', 'qcow2', '-o',
             f'data_file={b / "data"},data_file_raw=on', b / 'out.qcow2',
             '1M')
    qemu_img('convert', '-f', 'raw', '-O', 'vmdk', '-o',
             'subformat=monolithicFlat', b / 'disk', b / 'flat.vmdk')
    for name in 'child.qcow2', 'out.qcow2', 'flat.vmdk':
        failed(run, ['info', b / name], 77, 'image.backing', 'backing=on')


def locked_images(b, run):
    qemu_img('create', '-f', 'qcow2', b / 'l.qcow2', '1M')
    with served(b, b / 'l.qcow2', kind='qcow2'):
        failed(run, ['info', b / 'l.qcow2'], 65, 'qemu-nbd.failed', 'lock')
    with served(b, b / 'l.qcow2', '-r', kind='qcow2'):
        assert run('disk', 'info', b / 'l.qcow2').returncode == 0


def without_qemu_nbd(b, run, kvmbus):
    b.write('some.qcow2', b'QFI\xfb\0\0\0\3' + bytes(MIB))
    done = subprocess.run([kvmbus, 'disk', 'info', b / 'some.qcow2'],
                          env={'PATH': str(b.folder)}, capture_output=True,
                          text=True)
    assert done.returncode == 69, done.stderr
    assert '[qemu-nbd.missing]' in done.stderr, done.stderr


def without_library(b, run, kvmbus):
    """It is loaded by the first disk that needs it."""
    b.write('libnbd.so.0', b'')
    for what, error in ('nbd://localhost:1/', '[nbd.library]'), \
            (b / 'some.img', None):
        b.write('some.img', bytes(MIB))
        done = subprocess.run([kvmbus, 'disk', 'info', what],
                              env={'LD_LIBRARY_PATH': str(b.folder)},
                              capture_output=True, text=True)
        assert done.returncode == (69 if error else 0), done.stderr
        assert not error or error in done.stderr, done.stderr


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return [int(child) for child in f.read().split()]


def killed(b, run, kvmbus):
    """Who is killed leaves no server behind."""
    with open(b / 'big.img', 'wb') as f:
        for _ in range(300):
            f.write(os.urandom(64) * (MIB // 64))
    qemu_img('convert', '-f', 'raw', '-O', 'qcow2', b / 'big.img',
             b / 'big.qcow2')
    before = set(os.listdir(b.folder))
    other = subprocess.Popen([kvmbus, 'disk', 'convert', b / 'big.qcow2',
                              b / 'big.out'], stderr=subprocess.DEVNULL)
    while set(os.listdir(b.folder)) == before and other.poll() is None:
        time.sleep(0.001)
    handle = os.pidfd_open(children(other.pid)[0])
    other.kill()
    other.wait()
    assert select.select([handle], [], [], 30)[0], 'qemu-nbd goes on'
    os.close(handle)


def killed_early(b, kvmbus):
    """Nor one that had not begun to serve, and that signals do not end."""
    folder, pid = b / 'stuck', b / 'stuck/pid'
    folder.mkdir()
    program = b.write('stuck/qemu-nbd', f'''#!/bin/sh
    trap '' TERM HUP INT
    echo $$ >{pid}.new && mv {pid}.new {pid}
    exec sleep 1000
    '''.encode())
    program.chmod(0o755)
    b.write('early.qcow2', b'QFI\xfb\0\0\0\3' + bytes(504))
    other = subprocess.Popen(
        [kvmbus, 'disk', 'info', b / 'early.qcow2'],
        env={**os.environ, 'PATH': f'{folder}:{os.environ["PATH"]}'})
    while not pid.exists() and other.poll() is None:
        time.sleep(0.001)
    handle = os.pidfd_open(int(pid.read_text()))
    other.kill()
    other.wait()
    ended = select.select([handle], [], [], 30)[0]
    if not ended:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    assert ended, 'what it has started goes on'


def functions(kvmbus):
    """Name and function of (box, run); None: it needs qemu-nbd."""
    yield 'nbd-uris', uris
    yield 'nbd-without-qemu-nbd', \
        lambda b, run: without_qemu_nbd(b, run, kvmbus)
    yield 'nbd-without-library', \
        lambda b, run: without_library(b, run, kvmbus)
    for f in servers, tls, images, backing, locked_images:
        yield f'nbd-{f.__name__.replace("_", "-")}', f if QEMU_NBD else None
    yield 'nbd-killed-early', lambda b, run: killed_early(b, kvmbus)
    yield 'nbd-killed', (lambda b, run: killed(b, run, kvmbus)) \
        if QEMU_NBD else None
