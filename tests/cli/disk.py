# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of "kvmbus disk", for run.py: results, errors, and qemu-img's view."""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time

USAGE, DATAERR, NOINPUT, CANTCREAT, IOERR = 64, 65, 66, 73, 74
TEMPFAIL, NOPERM = 75, 77
MIB = 1 << 20
QEMU_IMG = shutil.which('qemu-img')


def scattered(path, size, seed=1):
    """A sparse file with pieces of data, also at both ends."""
    rand = random.Random(seed)
    with open(path, 'wb') as f:
        f.truncate(size)
        for at in [0, size - 512] + [rand.randrange(size // 512) * 512
                                     for _ in range(40)]:
            f.seek(at)
            f.write(rand.randbytes(512 * rand.randrange(1, 300))[:size - at])
    return path


def footer(path):
    with open(path, 'rb') as f:
        f.seek(-512, os.SEEK_END)
        return f.read()


def error_cases(b):
    """Name, words, status, error id, part of the text."""
    b.write('raw', bytes(MIB))
    b.write('qcow2', b'QFI\xfb' + bytes(MIB - 4))
    b.write('vmdk', b'KDMV' + bytes(MIB - 4))
    b.write('vdi', bytes(64) + b'\x7f\x10\xda\xbe' + bytes(MIB - 68))
    b.write('bad.vhd', bytes(MIB) + b'conectix' + bytes(504))
    disk = ['disk']
    yield 'disk-alone', disk, USAGE, 'usage', 'convert'
    yield 'disk-unknown', [*disk, 'inof', 'x'], USAGE, 'usage', 'inof'
    yield 'disk-no-file', [*disk, 'info'], USAGE, 'usage', 'FILE'
    yield 'disk-many-words', [*disk, 'info', 'a', 'b'], USAGE, 'usage', 'b'
    yield 'disk-option-elsewhere', [*disk, 'info', 'a', '--force'], USAGE, \
        'usage', '--force'
    yield 'disk-option-no-value', [*disk, 'create', 'a', '1G', '-O'], USAGE, \
        'usage', '-O'
    yield 'disk-info-missing', [*disk, 'info', b / 'none'], NOINPUT, \
        'disk.missing', 'none'
    yield 'disk-info-bad-footer', [*disk, 'info', b / 'bad.vhd'], DATAERR, \
        'vhd.footer', 'checksum'
    for kind in 'qcow2', 'vmdk', 'vdi':
        for words in ['check', b / kind], ['resize', b / kind, '2M'], \
                ['commit', b / kind]:
            yield f'disk-{words[0]}-{kind}', [*disk, *words], USAGE, \
                'image.kind', 'qemu-img'
    yield 'disk-create-no-size', [*disk, 'create', b / 'new'], USAGE, \
        'usage', 'size'
    yield 'disk-create-no-unit', [*disk, 'create', b / 'new', '1000'], \
        USAGE, 'usage', 'K, M, G'
    yield 'disk-create-bad-size', [*disk, 'create', b / 'new', '1X'], \
        USAGE, 'usage', '1X'
    yield 'disk-create-unknown', \
        [*disk, 'create', b / 'new', '1M', '-O', 'qcow2'], USAGE, 'usage', \
        'no such format'
    yield 'disk-create-fixed-raw', \
        [*disk, 'create', b / 'new', '1M', '-O', 'raw', '--fixed'], USAGE, \
        'usage', 'raw disk'
    yield 'disk-create-azure-vhdx', \
        [*disk, 'create', b / 'new', '1M', '-O', 'vhdx', '--azure'], USAGE, \
        'usage', 'only a VHD'
    yield 'disk-create-vhdx-blocks', \
        [*disk, 'create', b / 'new.vhdx', '1G', '--block-size', '64K'], \
        USAGE, 'usage', '1M to 256M'
    b.write('bad.vhdx', b'vhdxfile' + bytes(MIB - 8))
    yield 'disk-info-bad-vhdx', [*disk, 'info', b / 'bad.vhdx'], DATAERR, \
        'vhdx.header', ''
    yield 'disk-create-too-large', [*disk, 'create', b / 'new.vhd', '3T'], \
        USAGE, 'vhd.create', '2040'
    yield 'disk-create-blocks', \
        [*disk, 'create', b / 'new.vhd', '1G', '--block-size', '3M'], USAGE, \
        'usage', 'power of two'
    yield 'disk-create-exists', [*disk, 'create', b / 'raw', '1M'], \
        CANTCREAT, 'disk.exists', '--force'
    yield 'disk-create-no-folder', [*disk, 'create', b / 'no/x', '1M'], \
        CANTCREAT, 'disk.create', 'No such file'
    yield 'disk-create-no-parent', \
        [*disk, 'create', b / 'new.vhd', '--parent', b / 'none'], NOINPUT, \
        'disk.missing', 'none'
    yield 'disk-create-raw-parent', \
        [*disk, 'create', b / 'new.vhd', '--parent', b / 'raw'], DATAERR, \
        'vhd.footer', 'raw'
    yield 'disk-create-raw-child', \
        [*disk, 'create', b / 'new', '--parent', b / 'raw'], USAGE, 'usage', \
        'no parent'
    yield 'disk-create-fixed-child', \
        [*disk, 'create', b / 'new.vhdx', '--fixed', '--parent', b / 'raw'], \
        USAGE, 'usage', '--fixed'
    yield 'disk-create-vhdx-raw-parent', \
        [*disk, 'create', b / 'new.avhdx', '--parent', b / 'raw'], DATAERR, \
        'vhdx.kind', 'raw'
    yield 'disk-rebase-raw', \
        [*disk, 'rebase', b / 'raw', '--parent', b / 'raw'], USAGE, \
        'disk.no-parent', 'raw'
    yield 'disk-commit-raw', [*disk, 'commit', b / 'raw'], USAGE, \
        'disk.no-parent', 'raw'
    yield 'disk-commit-missing', [*disk, 'commit', b / 'none'], NOINPUT, \
        'disk.missing', 'none'
    yield 'disk-commit-uri', [*disk, 'commit', 'nbd://localhost/x'], USAGE, \
        'disk.uri', 'server'
    yield 'disk-rebase-to-nothing', [*disk, 'rebase', b / 'raw'], USAGE, \
        'usage', '--parent'
    yield 'disk-resize-smaller', [*disk, 'resize', b / 'raw', '512K'], \
        USAGE, 'disk.shrink', '--shrink'
    yield 'disk-check-replay-raw', [*disk, 'check', '--replay', b / 'raw'], \
        USAGE, 'usage', 'only a VHDX'
    yield 'disk-resize-to-nothing', [*disk, 'resize', b / 'raw', '0M'], \
        USAGE, 'usage', 'empty'


def run_ok(run, *words):
    done = run('disk', *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def info(run, path):
    return json.loads(run_ok(run, 'info', '--json', path))


def round_trips(b, run):
    """Raw, dynamic, fixed and back: the same bytes, and holes stay holes."""
    raw = scattered(b / 'round.img', 50 * MIB + 512)
    for name, words in (('d.vhd', []), ('f.vhd', ['--fixed']),
                        ('small.vhd', ['--block-size', '512K']),
                        ('d.vhdx', []), ('f.vhdx', ['--fixed'])):
        run_ok(run, 'convert', raw, b / name, *words)
        run_ok(run, 'check', b / name)
        run_ok(run, 'convert', b / name, b / 'back.img', '--force')
        assert raw.read_bytes() == (b / 'back.img').read_bytes(), name
        used = os.stat(b / name).st_blocks * 512
        assert used < 2 * os.stat(raw).st_blocks * 512 + MIB, (name, used)
    facts = info(run, b / 'f.vhd')
    assert facts['type'] == 'fixed' and facts['size'] == 50 * MIB + 512


def azure(b, run):
    raw = scattered(b / 'azure.img', 10 * MIB + 512)
    run_ok(run, 'convert', raw, b / 'azure.vhd', '--azure')
    facts = info(run, b / 'azure.vhd')
    assert facts['type'] == 'fixed' and facts['size'] == 11 * MIB, facts
    assert os.stat(b / 'azure.vhd').st_size == 11 * MIB + 512
    assert footer(b / 'azure.vhd')[28:40] == b'win \x00\x0a\x00\x00Wi2k'


def told(b, run):
    """What makes an image tells what info does."""
    image, copy = b / 'told.vhdx', b / 'told.img'
    for made, *words in ((image, 'create', image, '9M'),
                         (copy, 'convert', image, copy),
                         (image, 'resize', image, '20M')):
        got = json.loads(run_ok(run, *words, '--json'))
        assert got == info(run, made), got


def moved(b, run, child, parent):
    """Its parent is somewhere else; a disk like it is not its parent."""
    before = info(run, child)
    told = json.loads(run_ok(run, 'rebase', child, '--json', '--parent',
                             parent))
    assert told == {'file': str(child), 'parent': str(parent)}, told
    assert run_ok(run, 'rebase', child, '--parent', parent) == ''
    after = info(run, child)
    assert after['parent']['file'].endswith('gone'), after
    assert after.get('data-write-guid') == before.get('data-write-guid')
    run_ok(run, 'check', child)
    run_ok(run, 'convert', child, b / 'flat.img', '--force')
    other = b / f'other{child.suffix.replace(".a", ".")}'
    run_ok(run, 'create', other, '9M')
    done = run('disk', 'rebase', child, '--parent', other)
    assert done.returncode == DATAERR and '.parent-id' in done.stderr, done
    assert info(run, child) == after
    done = run('disk', 'rebase', other, '--parent', parent)
    assert done.returncode in (USAGE, DATAERR), done
    assert '.no-parent' in done.stderr, done


def chains(b, run):
    raw = scattered(b / 'chain.img', 9 * MIB)
    for kind, below in ('vhd', 'id'), ('vhdx', 'data-write-guid'):
        base, child = b / f'base.{kind}', b / f'child.a{kind}'
        run_ok(run, 'convert', raw, base)
        run_ok(run, 'create', child, '--parent', base)
        run_ok(run, 'check', child)
        facts, parent = info(run, child), info(run, base)
        assert facts['type'] == 'differencing', facts
        assert facts['size'] == parent['size'] == 9 * MIB, facts
        assert facts['parent'] == parent, facts
        run_ok(run, 'convert', child, b / 'flat.img', '--force')
        assert raw.read_bytes() == (b / 'flat.img').read_bytes()
        run_ok(run, 'create', b / f'more.{kind}', '64M', '--parent', base)
        run_ok(run, 'convert', b / f'more.{kind}', b / 'more.img', '--force')
        assert raw.read_bytes() + bytes(55 * MIB) == \
            (b / 'more.img').read_bytes()
        done = run('disk', 'resize', child, '64M')
        assert done.returncode == (USAGE if kind == 'vhd' else 0), done
        os.rename(base, b / 'gone')
        missing = info(run, child)['parent']
        assert missing['missing'].endswith(base.name), missing
        assert missing['id'] == parent[below], missing
        done = run('disk', 'convert', child, b / 'flat2.img')
        assert done.returncode == DATAERR, done
        assert 'disk.parent-missing' in done.stderr, done
        moved(b, run, child, b / 'gone')
        os.truncate(raw, info(run, child)['size'])
        assert raw.read_bytes() == (b / 'flat.img').read_bytes()
    assert not os.path.exists(b / 'flat2.img')


def put_block(path, data):
    """Let a new differencing disk have its second block of 2 MiB."""
    whole = bytearray(path.read_bytes())
    if path.suffix.endswith('x'):
        struct.pack_into('<Q', whole, 3 * MIB + 8, len(whole) | 6)
        path.write_bytes(whole + data)
    else:
        struct.pack_into('>I', whole, 1536 + 4, len(whole) // 512 - 1)
        path.write_bytes(whole[:-512] + b'\xff' * 512 + data + whole[-512:])


def twice(suffix, whole):
    """Let the third block have the place of the second, or first, one."""
    at, size = (3 * MIB, 8) if suffix.endswith('x') else (1536, 4)
    entry = [whole[at + n * size:at + (n + 1) * size] for n in range(2)]
    taken = entry[0] if entry[0].strip(b'\0\xff') else entry[1]
    return broken(whole, at + 2 * size, taken)


def same(b, run, path, want):
    run_ok(run, 'convert', path, b / 'same.img', '--force')
    return (b / 'same.img').read_bytes() == want


def family(b, run, kind):
    """A disk, a child that has a block, a child of that, a sibling; what the
    child reads."""
    raw = scattered(b / 'old.img', 9 * MIB, seed=5)
    base, child, grand, sibling = (b / f'{name}.a{kind}' for name in
                                   ('old', 'young', 'grand', 'sibling'))
    run_ok(run, 'convert', raw, base, '--force', '--block-size', '2M')
    # To be seen to have been changed since, in a VHD by the second.
    os.utime(base, (1e9, 1e9))
    run_ok(run, 'create', child, '--parent', base, '--force')
    data = random.Random(6).randbytes(2 * MIB)
    put_block(child, data)
    run_ok(run, 'create', grand, '--parent', child, '--force')
    run_ok(run, 'create', sibling, '--parent', base, '--force')
    whole = raw.read_bytes()
    return base, child, grand, sibling, \
        whole[:2 * MIB] + data + whole[4 * MIB:]


def commits(b, run):
    """A disk and its parent have what the disk had; others have lost it."""
    for kind in 'vhd', 'vhdx':
        base, child, grand, sibling, want = family(b, run, kind)
        assert same(b, run, child, want)
        told = json.loads(run_ok(run, 'commit', '--json', child))
        assert told == {'file': str(child), 'parent': str(base),
                        'committed': 2 * MIB}, told
        for path in base, child, grand:
            assert same(b, run, path, want), path
            run_ok(run, 'check', path)
        if QEMU_IMG:
            qemu_img('compare', '-f', {'vhd': 'vpc'}.get(kind, kind), '-F',
                     'raw', base, b / 'same.img')
        assert os.stat(child).st_size <= os.stat(sibling).st_size
        done = run('disk', 'convert', sibling, b / 'none.img')
        assert done.returncode == DATAERR and '.parent-' in done.stderr, done
        assert '0 bytes' in run_ok(run, 'commit', child)
        done = run('disk', 'commit', base)
        assert done.returncode == USAGE and 'no-parent' in done.stderr, done


def holding(path):
    hold = subprocess.Popen(
        ['python3', '-c', 'import fcntl,sys,time; f=open(sys.argv[1],"r+b");'
         'fcntl.lockf(f, fcntl.LOCK_SH); print(flush=True); time.sleep(60)',
         path], stdout=subprocess.PIPE)
    hold.stdout.readline()
    return hold


def commits_refused(b, run):
    """Each leaves both files as they are."""
    for kind in 'vhd', 'vhdx':
        base, child, _, _, want = family(b, run, kind)

        def refused(status, name, text, path=child):
            before = [p.read_bytes() for p in (base, child) if p.exists()]
            done = run('disk', 'commit', path)
            assert done.returncode == status and name in done.stderr and \
                text in done.stderr, done
            assert before == [p.read_bytes() for p in (base, child)
                              if p.exists()], (kind, name)
        for path in child, base:
            hold = holding(path)
            refused(TEMPFAIL, 'disk.locked', path.name)
            hold.kill()
            hold.wait()
        if os.geteuid():
            os.chmod(base, 0o444)
            refused(NOPERM, 'disk.', base.name)
            os.chmod(base, 0o644)
        for path in child, base:
            good = path.read_bytes()
            path.write_bytes(twice(path.suffix, good))
            os.utime(path, (1e9, 1e9))
            refused(DATAERR, '.overlap', path.name)
            path.write_bytes(good)
            os.utime(path, (1e9, 1e9))
        os.rename(base, b / 'away')
        refused(DATAERR, 'disk.parent-missing', 'rebase')
        os.rename(b / 'away', base)
        assert same(b, run, child, want)
    run_ok(run, 'create', b / 'few.vhd', '4M', '--fixed')
    run_ok(run, 'create', b / 'many.vhd', '9M', '--parent', b / 'few.vhd')
    put_block(b / 'many.vhd', bytes(2 * MIB))
    done = run('disk', 'commit', b / 'many.vhd')
    assert done.returncode == DATAERR and 'convert' in done.stderr, done


def resizes(b, run):
    raw = scattered(b / 'size.img', 5 * MIB)
    data = raw.read_bytes()
    for name, words in ('s.img', []), ('s.vhd', []), ('sf.vhd', ['--fixed']), \
            ('s.vhdx', ['--block-size', '1M']), ('sf.vhdx', ['--fixed']):
        run_ok(run, 'convert', raw, b / name, *words)
        run_ok(run, 'resize', b / name, '60M')
        assert info(run, b / name)['size'] == 60 * MIB
        run_ok(run, 'check', b / name)
        run_ok(run, 'convert', b / name, b / 'sized.img', '--force')
        with open(b / 'sized.img', 'rb') as f:
            assert f.read(5 * MIB) == data, name
            assert not f.read().strip(b'\0'), name
        if name == 's.vhd':
            continue
        if QEMU_IMG and name.endswith('vhdx'):
            qemu_img('check', b / name)
            qemu_img('compare', '-f', 'vhdx', '-F', 'raw', b / name,
                     b / 'sized.img')
        run_ok(run, 'resize', b / name, '5M', '--shrink')
        assert info(run, b / name)['size'] == 5 * MIB
        done = run('disk', 'resize', b / name, '4M', '--shrink')
        assert done.returncode == DATAERR and 'disk.in-use' in done.stderr
        assert info(run, b / name)['size'] == 5 * MIB


def checks(b, run):
    run_ok(run, 'convert', scattered(b / 'c.img', 5 * MIB), b / 'c.vhd')
    whole = (b / 'c.vhd').read_bytes()
    for name, bad in (('end', whole[:-512] + bytes(512)),
                      ('start', whole[:100] + b'x' + whole[101:])):
        path = b.write(f'c-{name}.vhd', bad)
        done = run('disk', 'check', path)
        assert done.returncode == DATAERR and 'disk.damaged' in done.stderr
        run_ok(run, 'check', '--repair', path)
        run_ok(run, 'check', path)
        run_ok(run, 'convert', path, b / 'c-back.img', '--force')
        assert (b / 'c.img').read_bytes() == (b / 'c-back.img').read_bytes()
    path = b.write('c-twice.vhd', whole[:1540] + whole[1536:1540] +
                   whole[1544:])
    done = run('disk', 'check', path)
    assert done.returncode == DATAERR and '1 share' in done.stderr
    bad = path.read_bytes()
    done = run('disk', 'resize', path, '60M')
    assert done.returncode == DATAERR and 'vhd.overlap' in done.stderr
    assert path.read_bytes() == bad
    # Sector 1 is where the header is.
    path = b.write('c-head.vhd', broken(whole, 1536, bytes([0, 0, 0, 1])))
    done = run('disk', 'check', path)
    assert done.returncode == DATAERR and '1 share' in done.stderr


def torn(b, run):
    """Of what is not there a copy says where to look."""
    run_ok(run, 'convert', scattered(b / 't.img', 5 * MIB), b / 't.vhdx',
           '--block-size', '1M')
    path = b.write('t.vhdx', (b / 't.vhdx').read_bytes()[:-MIB])
    done = run('disk', 'convert', path, b / 't-out.img')
    assert done.returncode == IOERR and f'check {path}' in done.stderr, done
    assert not (b / 't-out.img').exists()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82f63b78 * (crc & 1)
    return crc ^ 0xffffffff


def sealed(data):
    """With the checksum that VHDX has at byte 4 of most things."""
    data = data[:4] + bytes(4) + data[8:]
    return data[:4] + struct.pack('<I', crc32c(data)) + data[8:]


def not_closed(whole):
    """A VHDX with an entry in its log, which changes nothing."""
    log_guid = b'not closed' + bytes(6)
    entry = struct.pack('<4sIIIQII16sQQ', b'loge', 0, 4096, 0, 1, 0, 0,
                        log_guid, len(whole), len(whole))
    whole = bytearray(whole)
    for at in 64 << 10, 128 << 10:
        header = whole[at:at + 4096]
        header[48:64] = log_guid
        whole[at:at + 4096] = sealed(bytes(header))
    whole[MIB:MIB + 4096] = sealed(entry.ljust(4096, b'\0'))
    return bytes(whole)


def broken(whole, at, with_what):
    return whole[:at] + with_what + whole[at + len(with_what):]


def reads_with_the_log(b, run, whole):
    """Whatever is there is told and read, and nothing written."""
    bad = not_closed(whole)
    path = b.write('x-dirty.vhdx', bad)
    told = info(run, path)
    assert told['log'] == 'to be replayed' and told['size'] == 5 * MIB, told
    run_ok(run, 'convert', path, b / 'x-read.img', '--force')
    assert (b / 'x.img').read_bytes() == (b / 'x-read.img').read_bytes()
    assert path.read_bytes() == bad
    path = b.write('x-torn.vhdx', broken(bad, MIB + 100, b'x'))
    done = run('disk', 'info', path)
    assert done.returncode == DATAERR and 'log-damaged' in done.stderr, done
    assert 'x-torn' in done.stdout, done
    assert info(run, b / 'x.vhdx')['log'] == 'empty'


def checks_vhdx(b, run):
    """Each damage has a name; what can be mended is, and nothing is lost."""
    raw = scattered(b / 'x.img', 5 * MIB)
    run_ok(run, 'convert', raw, b / 'x.vhdx', '--block-size', '1M')
    whole = (b / 'x.vhdx').read_bytes()
    for name, bad, why, words in (
            ('header', broken(whole, (64 << 10) + 100, b'x'), 'headers',
             ['--repair']),
            ('region', broken(whole, (256 << 10) + 100, b'x'),
             'region tables', ['--repair']),
            ('log', not_closed(whole), 'not closed', ['--replay'])):
        path = b.write(f'x-{name}.vhdx', bad)
        done = run('disk', 'check', path)
        assert done.returncode == DATAERR and why in done.stderr, done.stderr
        assert path.read_bytes() == bad
        run_ok(run, 'check', path, *words)
        assert ' good' in run_ok(run, 'check', path)
        run_ok(run, 'convert', path, b / 'x-back.img', '--force')
        assert raw.read_bytes() == (b / 'x-back.img').read_bytes(), name
    reads_with_the_log(b, run, whole)
    bat = 3 * MIB
    for name, bad, why in (
            ('twice', broken(whole, bat + 8, whole[bat:bat + 8]), '1 share'),
            ('far', broken(whole, bat + 8, struct.pack('<Q', 6 | 999 * MIB)),
             '1 are outside')):
        path = b.write(f'x-{name}.vhdx', bad)
        done = run('disk', 'check', '--repair', path)
        assert done.returncode == DATAERR and why in done.stderr, done.stderr
        done = run('disk', 'resize', path, '60M')
        assert 'vhdx.overlap' in done.stderr and 'ro=on' in done.stderr, done
        assert path.read_bytes() == bad


def lost_space(b, run):
    """What no block uses, here after the BAT forgot one, is freed."""
    run_ok(run, 'convert', scattered(b / 'y.img', 5 * MIB), b / 'y.vhdx',
           '--block-size', '1M')
    whole = (b / 'y.vhdx').read_bytes()
    path = b.write('y.vhdx', broken(whole, 3 * MIB + 8, bytes(8)))
    used = os.stat(path).st_blocks
    told = json.loads(run_ok(run, 'check', '--json', path))
    assert told['lost-space'] == MIB, told
    told = json.loads(run_ok(run, 'check', '--json', '--repair', path))
    assert told['freed-space'] == MIB, told
    assert os.stat(path).st_blocks <= used - 2048
    assert json.loads(run_ok(run, 'check', '--json', path))['lost-space'] == 0


def facts(b, run):
    run_ok(run, 'create', b / 'i.vhdx', '64M', '--block-size', '2M')
    told = info(run, b / 'i.vhdx')
    assert told['type'] == 'dynamic' and told['block-size'] == 2 * MIB, told
    assert told['data-write-guid'] != told['file-write-guid'], told
    run_ok(run, 'create', b / 'i.vhd', '64M')
    assert info(run, b / 'i.vhd')['geometry'].count('/') == 2


def locked(b, run):
    raw = scattered(b / 'l.img', MIB)
    hold = subprocess.Popen(
        ['python3', '-c', 'import fcntl,sys,time; f=open(sys.argv[1],"r+b");'
         'fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); time.sleep(60)',
         raw], stdout=subprocess.PIPE)
    hold.stdout.readline()
    try:
        for words in ['info'], ['resize', '2M'], ['convert', b / 'l2.img']:
            done = run('disk', words[0], raw, *words[1:])
            assert done.returncode == TEMPFAIL, (words, done.stderr)
    finally:
        hold.kill()
        hold.wait()


def interrupted(b, run, kvmbus):
    """Neither the output nor a part of it is left."""
    with open(b / 'long.img', 'wb') as f:
        for _ in range(600):
            f.write(os.urandom(64) * (MIB // 64))
    before = set(os.listdir(b.folder))
    other = subprocess.Popen([kvmbus, 'disk', 'convert', b / 'long.img',
                              b / 'long.vhd'], stderr=subprocess.PIPE)
    while set(os.listdir(b.folder)) == before and other.poll() is None:
        time.sleep(0.001)
    other.send_signal(signal.SIGTERM)
    assert other.wait() == 143, other.stderr.read()
    assert set(os.listdir(b.folder)) == before
    os.unlink(b / 'long.img')


def qemu_img(*words):
    return subprocess.run([QEMU_IMG, *map(str, words)], check=True,
                          capture_output=True, text=True).stdout


def qemu_agrees(b, run):
    """What either writes, the other reads."""
    for size in 3 * MIB, 127 * MIB + 512 * 7, 300 * MIB:
        raw = scattered(b / 'q.img', size, seed=size)
        for kind in 'dynamic', 'fixed':
            qemu_img('convert', '-O', 'vpc', '-o',
                     f'subformat={kind},force_size=on', raw, b / 'q.vhd')
            assert info(run, b / 'q.vhd')['type'] == kind
            run_ok(run, 'check', b / 'q.vhd')
            run_ok(run, 'convert', b / 'q.vhd', b / 'qb.img', '--force')
            qemu_img('compare', '-f', 'raw', '-F', 'raw', raw, b / 'qb.img')
            words = ['--fixed'] if kind == 'fixed' else []
            run_ok(run, 'convert', raw, b / 'k.vhd', '--force', *words)
            qemu_img('compare', '-f', 'vpc', '-F', 'raw', b / 'k.vhd', raw)
            told = json.loads(qemu_img('info', '--output=json', '-f', 'vpc',
                                       b / 'k.vhd'))
            assert told['virtual-size'] == size, told


def qemu_agrees_on_vhdx(b, run):
    raw = scattered(b / 'qx.img', 70 * MIB)
    qemu_img('convert', '-O', 'vhdx', raw, b / 'qx.vhdx')
    run_ok(run, 'convert', b / 'qx.vhdx', b / 'qxb.img')
    qemu_img('compare', '-f', 'raw', '-F', 'raw', raw, b / 'qxb.img')
    run_ok(run, 'convert', raw, b / 'kx.vhdx')
    qemu_img('check', b / 'kx.vhdx')
    qemu_img('compare', '-f', 'vhdx', '-F', 'raw', b / 'kx.vhdx', raw)


def qemu_sizes(b, run):
    """A disk that qemu-img made by geometry has the size of its footer."""
    qemu_img('create', '-f', 'vpc', b / 'chs.vhd', '100M')
    size = struct.unpack('>Q', footer(b / 'chs.vhd')[48:56])[0]
    assert info(run, b / 'chs.vhd')['size'] == size


def functions(kvmbus):
    """Name and function of (box, run), in order."""
    for f in round_trips, azure, told, chains, commits, commits_refused, \
            resizes, checks, checks_vhdx, torn, lost_space, facts, locked:
        yield f'disk-{f.__name__.replace("_", "-")}', f
    yield 'disk-interrupted', lambda b, run: interrupted(b, run, kvmbus)
    for f in qemu_agrees, qemu_agrees_on_vhdx, qemu_sizes:
        yield f'disk-{f.__name__.replace("_", "-")}', \
            f if QEMU_IMG else None
