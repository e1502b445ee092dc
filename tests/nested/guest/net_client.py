# SPDX-License-Identifier: GPL-2.0-or-later
"""In a guest: streams and datagrams to and from net_server.py.

    net_client.py WHAT ADDRESS PORT

streams      4 MiB each way at once, compared by MD5
datagrams    of all sizes up to fragmented ones, to an echo
connections  1000 at once, each with an answer of its own
"""
import hashlib
import random
import resource
import socket
import sys
import threading

MIB = 1 << 20


def content(n):
    return random.Random(n).randbytes(n)


def ask(s, n):
    s.sendall(b'GET /%d HTTP/1.0\r\n\r\n' % n)


def answer(s):
    return s.makefile('rb').read().split(b'\r\n\r\n', 1)[1]


def download(where):
    with socket.create_connection(where, 200) as s:
        ask(s, 4 * MIB)
        assert answer(s) == content(4 * MIB), 'what came is something else'


def upload(where):
    data = content(4 * MIB + 1)
    with socket.create_connection(where, 200) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        md5 = s.makefile().read()
    assert md5 == hashlib.md5(data).hexdigest(), 'what was sent got lost'


def streams(where):
    failures = []

    def guarded(work):
        try:
            work(where)
        except Exception as failure:
            failures.append(failure)

    both = [threading.Thread(target=guarded, args=(work,))
            for work in (upload, download)]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert not failures, failures


def datagrams(where):
    family = socket.AF_INET6 if ':' in where[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(3)
        s.connect(where)
        for size in [*range(0, 9000, 127), 1472, 8972, 8973, 30000, 60000]:
            data = content(size)
            s.send(data)
            assert s.recv(65535) == data, f'{size} bytes'


def connections(where):
    resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))
    all_of_them = [socket.create_connection(where, 200) for _ in range(1000)]
    for i, s in enumerate(all_of_them):
        ask(s, i)
    for i, s in enumerate(all_of_them):
        assert answer(s) == content(i), f'connection {i}'
        s.close()


def main():
    what, address, port = sys.argv[1:]
    {'streams': streams, 'datagrams': datagrams,
     'connections': connections}[what]((address, int(port)))
    print('DONE', what, address, flush=True)


main()
