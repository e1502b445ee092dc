#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests talk to on the host's side of a NIC.

    net_server.py KIND PORT     prints the port that it has, and serves

dns   every name is 10.11.12.13
http  GET /N: N bytes; anything else is read to its end: its MD5
"""
import hashlib
import socketserver
import sys


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
        if start == b'GET ':
            n = int(self.rfile.readline().split()[1][1:])
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n'
                             % n + bytes(n))
        else:
            md5 = hashlib.md5(self.rfile.read())
            self.wfile.write(md5.hexdigest().encode())


class Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    kind, port = sys.argv[1], int(sys.argv[2])
    make, handler = {'dns': (socketserver.UDPServer, Dns),
                     'http': (Tcp, Http)}[kind]
    server = make(('127.0.0.1', port), handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == '__main__':
    main()
