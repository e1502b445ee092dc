# SPDX-License-Identifier: GPL-2.0-or-later
"""kvmbus run --control and kvmbus call."""
import contextlib
import json
import os
import select
import shutil
import socket
import stat
import subprocess
import threading
import time

import nbd

USAGE, DATAERR, NOINPUT, UNAVAILABLE = 64, 65, 66, 69
CANTCREAT, TEMPFAIL, PROTOCOL, NOPERM = 73, 75, 76, 77


def error_cases(b):
    """name, words, status, id, part of the text."""
    yield 'call-of-nothing', ['call'], USAGE, 'usage', 'kvmbus call PATH'
    yield 'call-of-nobody', ['call', b / 'nobody'], UNAVAILABLE, \
        'control.unreached', '--control'
    yield 'control-in-no-folder', \
        ['run', '--kernel', b / 'mb', '--control', '/no/such/folder/c'], \
        CANTCREAT, 'control.socket', 'folder'
    yield 'control-is-a-file', \
        ['run', '--kernel', b / 'mb', '--control', b / 'mb'], TEMPFAIL, \
        'control.in-use', ''


def call_of_another(b, run, check):
    """What listens there hangs up, as most would that speak no D-Bus."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(b / 'other'))
        listener.listen()
        threading.Thread(target=lambda: listener.accept()[0].close()).start()
        return check(run('call', b / 'other', 'GetState'), PROTOCOL,
                     'control.protocol', 'as a machine')


def listens(path):
    """The name is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


@contextlib.contextmanager
def machine(kvmbus, b, *words):
    """One whose guest only spins; what is left of it is killed."""
    path = b / 'control'
    path.unlink(missing_ok=True)    # of the last one, which was killed
    vm = subprocess.Popen(
        [kvmbus, 'run', '--kernel', b / 'spin', '--console', 'off', '--net',
         'off', '-m', '16M', '--timeout', '60s', '--control', path, *words],
        stderr=subprocess.PIPE, text=True)
    try:
        while not listens(path) and vm.poll() is None:
            time.sleep(0.01)
        yield path, vm
    finally:
        vm.kill()
        vm.communicate()


def said(done, what):
    """None, or what is wrong with an answer."""
    if done.returncode or done.stdout.strip() != what:
        return f'status {done.returncode}, {done.stdout!r}, {done.stderr!r}'
    return None


def states(kvmbus, b, run, check):
    with machine(kvmbus, b) as (path, vm):
        for words, what in [
                (['GetState'], 'running'), (['Pause'], ''), (['Pause'], ''),
                (['GetState'], 'paused'), (['Reset'], ''),
                (['GetState'], 'paused'), (['Resume'], ''),
                (['GetState'], 'running'), (['Pause'], ''),
                (['PowerOff'], '')]:
            problem = said(run('call', path, *words), what)
            if problem:
                return f'{words}: {problem}'
        if vm.wait(10):
            return f'the machine ended with {vm.returncode}'
    return 'the socket is left' if path.exists() else None


def questions(kvmbus, b, run, check):
    with machine(kvmbus, b) as (path, vm):
        if stat.S_IMODE(os.stat(path).st_mode) != 0o600:
            return 'others may use the socket'
        forms = run('call', path).stdout.splitlines()
        if 'GetState -> state:s' not in forms or 'Pause' not in forms:
            return f'forms are {forms}'
        answer = run('call', '--json', path, 'GetState').stdout
        if json.loads(answer) != {'state': 'running'}:
            return f'as JSON {answer!r}'
        return check(run('call', path, 'Fly'), USAGE, 'control.method',
                     'Fly') or \
            check(run('call', path, 'Pause', 'now'), USAGE, 'usage',
                  'try: Pause')


def places(kvmbus, b, run, check):
    """A path is one machine's, up to its end of any kind."""
    second = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
              '--net', 'off', '--control', b / 'control']
    with machine(kvmbus, b) as (path, vm):
        problem = check(run(*second), TEMPFAIL, 'control.in-use',
                        str(path)) or said(run('call', path, 'GetState'),
                                           'running')
        if problem:
            return problem
    if not path.exists():
        return 'it was killed, and yet its socket is gone'
    return check(run('call', path), UNAVAILABLE, 'control.unreached', '') or \
        check(run(*second), 0, '')


def nics(kvmbus, b, run, check):
    with machine(kvmbus, b) as (path, vm):
        def ask(*words):
            return run('call', path, *words)

        for words, what in [
                (['AddNic', 'isolated'], '0'),
                (['AddNic', 'isolated,mac=02:00:00:00:00:07'], '1'),
                (['SetLink', '1', 'false'], ''),
                (['SetLink', '1', 'true'], ''), (['RemoveNic', '0'], ''),
                (['AddNic', 'isolated'], '0'), (['RemoveNic', '1'], '')]:
            problem = said(ask(*words), what)
            if problem:
                return f'{words}: {problem}'
        for words, error, text in [
                (['AddNic', 'hub'], 'usage', 'there is no such mode'),
                (['AddNic', 'tap:no/name'], 'net.tap-name', '1 to 15'),
                (['RemoveNic', '1'], 'net.no-such-nic', 'there is no NIC 1'),
                (['SetLink', '9', 'true'], 'net.no-such-nic', 'NIC 9')]:
            problem = check(ask(*words), USAGE, error, text)
            if problem:
                return f'{words}: {problem}'
        return said(ask('PowerOff'), '')


def discs(kvmbus, b, run, check):
    """What is in a drive is the user's, and its file then is not locked."""
    disc = b.write('disc.iso', bytes(1 << 20))
    b.write('short', bytes((1 << 20) + 512))
    second = ['run', '--kernel', b / 'mb', '--console', 'off', '-m', '16M',
              '--net', 'off', '--disk', disc]
    with machine(kvmbus, b, '--cdrom', 'none,lun=3') as (path, vm):
        for words, status, what in [
                ('EjectMedium 0 3 false', UNAVAILABLE, 'cdrom.empty'),
                (f'InsertMedium 0 3 {b / "short"}', DATAERR, 'cdrom.size'),
                (f'InsertMedium 0 3 {b / "nothing"}', NOINPUT,
                 'disk.missing'),
                (f'InsertMedium 0 4 {disc}', USAGE, 'cdrom.no-drive'),
                (f'InsertMedium 1 3 {disc}', USAGE, 'cdrom.no-drive'),
                (f'InsertMedium 9 99 {disc}', USAGE, 'cdrom.no-drive'),
                (f'InsertMedium 0 3 {disc}', 0, ''),
                (f'InsertMedium 0 3 {disc}', TEMPFAIL, 'cdrom.full')]:
            problem = check(run('call', path, *words.split()), status, what,
                            '')
            if problem:
                return f'{words}: {problem}'
        listed = run('call', path, 'ListDisks')
        return said(listed, f"[(0, 3, '{disc}')]") or \
            check(run(*second), TEMPFAIL, 'disk.locked', '') or \
            check(run('call', path, 'EjectMedium', '0', '3', 'false'), 0,
                  '') or said(run('call', path, 'ListDisks'), "[(0, 3, '')]") \
            or check(run(*second), 0, '')


def relative_refused(path):
    """By the machine itself, if there is a client that leaves names alone."""
    for words in ['AddDisk'], ['InsertMedium', 'uint32:0', 'uint32:0']:
        if not shutil.which('dbus-send'):
            continue
        done = subprocess.run(
            ['dbus-send', f'--peer=unix:path={path}', '--print-reply',
             '/org/kvmbus/Machine', f'org.kvmbus.Machine1.{words[0]}',
             *words[1:], 'string:disc'], capture_output=True, text=True)
        if 'org.kvmbus.Error.control.path' not in done.stderr:
            return f'{words}: {done.stderr or done.stdout}'
    return None


def paths(kvmbus, b, run, check):
    """A name is of the caller's folder; the machine itself takes no such."""
    here = b / 'here, there'
    here.mkdir(exist_ok=True)
    for name in 'disc', 'disk,old':
        (here / name).write_bytes(bytes(1 << 20))
    with machine(kvmbus, b, '--cdrom', 'none') as (path, vm):
        def ask(*words):
            return run('call', path, *words, cwd=here)

        problem = said(ask('AddDisk', './disk,old,ro=on'), '0\n1') or \
            said(ask('InsertMedium', 0, 0, 'disc'), '')
        listed = json.loads(ask('ListDisks', '--json').stdout)['disks']
        names = [[0, 0, f'{here}/disc'], [0, 1, f'{here}/./disk,old']]
        if problem or listed != names:
            return problem or f'{listed}, not {names}'
        return relative_refused(path) or said(ask('PowerOff'), '')


def disks(kvmbus, b, run, check):
    """What is wrong with a call leaves everything as it was."""
    plug = b.write('plug', bytes(1 << 20))
    closed = b.write('closed', bytes(1 << 20))
    closed.chmod(0)
    vhdx = b / 'shared.vhdx'
    run('disk', 'create', vhdx, '64M')
    with machine(kvmbus, b, '--disk', b / 'disk') as (path, vm):
        def ask(*words):
            return run('call', path, *words)
        wrong = [
            (['AddDisk', b / 'none'], NOINPUT, 'disk.missing'),
            (['AddDisk', f'{plug},lun=64'], USAGE, 'usage'),
            (['AddDisk', f'{plug},lun=0'], USAGE, 'disk.place'),
            (['AddDisk', b / 'disk'], TEMPFAIL, 'disk.locked'),
            (['AddDisk', closed], NOPERM, 'disk.permission'),
            (['AddDisk', 'nbd://localhost:1/x'], UNAVAILABLE, 'nbd.connect'),
            (['AddDisk', f'{vhdx},shared=a'], DATAERR, 'disk.shared-format'),
            (['RemoveDisk', '0', '1'], USAGE, 'disk.none'),
            (['RemoveDisk', '4', '0'], USAGE, 'disk.none'),
            (['ResizeDisk', '0', '64'], USAGE, 'disk.none')]
        for words, status, error_id in wrong:
            problem = check(ask(*words), status, error_id)
            if problem:
                return f'{words}: {problem}'
        listed = json.loads(ask('ListDisks', '--json').stdout)
        if listed != {'disks': [[0, 0, str(b / 'disk')]]}:
            return f'listed as {listed}'
        problem = said(ask('AddDisk', f'{plug},controller=3'), '3\n0')
        os.truncate(plug, 2 << 20)
        problem = problem or said(ask('ResizeDisk', 3, 0), str(2 << 20))
        os.truncate(plug, 1000)
        problem = problem or check(ask('ResizeDisk', 3, 0), DATAERR,
                                   'disk.size') or \
            said(ask('RemoveDisk', 3, 0), '')
        os.truncate(plug, 1 << 20)
        problem = problem or \
            said(ask('AddDisk', f'{plug},ephemeral=on'), '0\n1') or \
            check(ask('ResizeDisk', 0, 1), USAGE, 'disk.fixed-size') or \
            said(ask('RemoveDisk', 0, 1), '') or \
            said(ask('RemoveDisk', 0, 0), '')
        again = run('run', '--kernel', b / 'mb', '--console', 'off', '--net',
                    'off', '-m', '16M', '--disk', b / 'disk', '--disk', plug)
        return problem or check(again, 0, '')


def grows(kvmbus, b, run, check):
    """Images grow while they are used, and are whole then."""
    made = [('grow.img', '1T', 1024), ('grow.vhd', '600G', 600),
            ('grow.vhdx', '600G', 600), ('fixed.vhd', '3G', 3),
            ('fixed.vhdx', '3G', 3)]
    for name, _, _ in made:
        run('disk', 'create', b / name, '8M',
            *['--fixed'] * name.startswith('fixed'))
    with machine(kvmbus, b) as (path, vm):
        def ask(*words):
            return run('call', path, *words)

        problem = None
        for lun, (name, size, gib) in enumerate(made):
            problem = problem or \
                said(ask('AddDisk', b / name), f'0\n{lun}') or \
                check(ask('GrowDisk', 0, lun, '4M'), USAGE, 'disk.shrink') or \
                said(ask('GrowDisk', 0, lun, '8M'), str(8 << 20)) or \
                said(ask('GrowDisk', 0, lun, '20M'), str(20 << 20)) or \
                said(ask('GrowDisk', 0, lun, size), str(gib << 30))
        problem = problem or \
            check(ask('GrowDisk', 0, 0, 'x'), USAGE, 'usage') or \
            check(ask('GrowDisk', 0, 1, '3T'), DATAERR, 'disk.size') or \
            check(ask('GrowDisk', 0, 9, '1G'), USAGE, 'disk.none') or \
            said(ask('AddDisk', f'{b / "disk"},ephemeral=on'), '0\n5') or \
            check(ask('GrowDisk', 0, 5, '1G'), USAGE, 'disk.fixed-size')
        if problem or said(ask('PowerOff'), '') or vm.wait(10):
            return problem or 'it does not end'
    for name, _, gib in made:
        done = run('disk', 'info', '--json', b / name)
        if json.loads(done.stdout)['size'] != gib << 30:
            return f'{name}: {done.stdout}'
        if name != 'grow.img' and run('disk', 'check', b / name).returncode:
            return f'{name} is damaged'
        (b / name).unlink()
    return None


def children(pid):
    """Those that any of its threads has started."""
    tasks = f'/proc/{pid}/task'
    return [int(child) for task in os.listdir(tasks) for child in
            open(f'{tasks}/{task}/children', encoding='ascii').read().split()]


def silent_server(b, vm, ask):
    """Who waits for a server that says nothing keeps nobody waiting."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(b / 'silent'))
        listener.listen()
        answers = []
        asker = threading.Thread(target=lambda: answers.append(
            ask('AddDisk', f'nbd+unix:///x?socket={b / "silent"}')))
        asker.start()
        connection = listener.accept()[0]
        problem = said(ask('GetState'), 'running') or \
            said(ask('ListDisks'), '[]')
        waits = asker.is_alive()
        connection.close()
        asker.join()
    if problem or not waits or answers[0].returncode != UNAVAILABLE:
        return problem or f'{waits}, {answers}'
    return None


def plug(vm, ask, disk, programs=0):
    """None, or what is wrong when it comes and goes."""
    added = ask('AddDisk', disk)
    if added.returncode:
        return f'{disk}: {added.stderr}'
    started = [os.pidfd_open(pid) for pid in children(vm.pid)]
    removed = ask('RemoveDisk', *added.stdout.split())
    left = children(vm.pid)
    for handle in started:
        os.close(handle)
    if removed.returncode or left or len(started) != programs:
        return f'{disk}: {removed.stderr} {len(started)} programs, {left} left'
    return None


def plugs(kvmbus, b, run, check):
    """Every kind of disk that --disk takes."""
    raw = b.write('raw.img', bytes(1 << 20))
    run('disk', 'create', b / 'plug.vhdx', '64M')
    with machine(kvmbus, b) as (path, vm):
        def ask(*words):
            return run('call', path, *words)

        problem = silent_server(b, vm, ask)
        for words in 'shared=a', 'ephemeral=on,iops=100', 'bps=1M':
            problem = problem or plug(vm, ask, f'{raw},{words}')
        problem = problem or plug(vm, ask, b / 'plug.vhdx')
        if problem or not nbd.QEMU_NBD:
            return problem
        nbd.qemu_img('create', '-f', 'qcow2', b / 'plug.qcow2', '64M')
        problem = plug(vm, ask, b / 'plug.qcow2', 1) or \
            plug(vm, ask, f'{b / "plug.qcow2"},ephemeral=on,bps=1M', 1)
        for served, words in (raw, ''), (raw, ',iops=9,ephemeral=on'), \
                (b / 'plug.vhdx', ''):
            with nbd.served(b, served) as uri:
                problem = problem or plug(vm, ask, f'{uri}{words}')
        # What has been added ends with the machine.
        problem = problem or said(ask('AddDisk', b / 'plug.qcow2'), '0\n9')
        if problem:
            return problem
        server = os.pidfd_open(children(vm.pid)[0])
        ask('PowerOff')
        ended = select.select([server], [], [], 10)[0]
        os.close(server)
        return None if ended and vm.wait(10) == 0 else 'it goes on'


def many(kvmbus, b, run, check):
    """All places are used, and one that is free is found."""
    files = [b.write(f'many{i}', bytes(512)) for i in range(256)]
    words = [word for file in files for word in ('--disk', file)]
    more = b.write('more', bytes(512))
    with machine(kvmbus, b, *words) as (path, vm):
        def ask(*words):
            return run('call', path, *words)

        listed = json.loads(ask('ListDisks', '--json').stdout)['disks']
        if listed != [[i // 64, i % 64, str(file)]
                      for i, file in enumerate(files)]:
            return f'listed as {listed}'
        return check(ask('AddDisk', more), USAGE, 'disk.place', '64 on') or \
            said(ask('RemoveDisk', 2, 63), '') or \
            said(ask('AddDisk', more), '2\n63') or \
            check(ask('AddDisk', b / 'disk'), USAGE, 'disk.place') or \
            said(ask('PowerOff'), '') or \
            (f'it ended with {vm.returncode}' if vm.wait(10) else None)


functions = [('control-states', states), ('control-questions', questions),
             ('control-places', places), ('control-nics', nics),
             ('control-discs', discs), ('control-paths', paths),
             ('control-disks', disks), ('control-plugs', plugs),
             ('control-grows', grows), ('control-many', many)]
