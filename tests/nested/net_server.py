#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests talk to on the host's side of a NIC.

    net_server.py KIND PORT [ADDRESS]

prints the port that it has, and serves at ADDRESS (127.0.0.1).

dns    every name is 10.11.12.13
http   GET /N: N bytes that are the same each time; PUT /N, and N bytes: their
       MD5; anything else is read to its end: its MD5
echo   datagrams go back to where they came from
flood  serves nobody: sends datagrams to ADDRESS as fast as it can
"""
import hashlib
import random
import socket
import socketserver
import sys


def content(n):
    return random.Random(n).randbytes(n)


class Dns(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        end = data.index(b'\0', 12) + 5
        kind = data[end - 4:end - 2]
        answer = b'\xc0\x0c' + kind + b'\0\1\0\0\0\x3c\0\4\x0a\x0b\x0c\x0d'
        known = kind == b'\0\1'
        sock.sendto(data[:2] + b'\x81\x80\0\1' + bytes([0, known]) +
                    b'\0\0\0\0' + data[12:end] + answer * known,
                    self.client_address)


class Http(socketserver.StreamRequestHandler):
    def handle(self):
        start = self.rfile.peek(4)[:4]
        n = -1
        if start in (b'GET ', b'PUT '):
            n = int(self.rfile.readline().split()[1][1:])
            while self.rfile.readline().strip():
                pass
        if start == b'GET ':
            self.wfile.write(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n'
                             % n + content(n))
        else:
            md5 = hashlib.md5(self.rfile.read(n))
            self.wfile.write(md5.hexdigest().encode())


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 1024


class Udp(socketserver.UDPServer):
    max_packet_size = 65535


def flood(port, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        print(port, flush=True)
        while True:
            try:
                s.sendto(bytes(64), (address, port))
            except OSError:
                pass    # nobody is there now and then


def main():
    kind, port = sys.argv[1], int(sys.argv[2])
    address = sys.argv[3] if len(sys.argv) > 3 else '127.0.0.1'
    if kind == 'flood':
        flood(port, address)
    make, handler = {'dns': (Udp, Dns), 'http': (Tcp, Http),
                     'echo': (Udp, Echo)}[kind]
    if ':' in address:
        make.address_family = socket.AF_INET6
    server = make((address, port), handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == '__main__':
    main()
