# SPDX-License-Identifier: MIT
"""A tty served over TCP in raw mode, as ESPHome's uart_tcp and serial servers do, with the faults of a network
between: delays, splits, half-closed and dead connections, a second client; and Debian's ser2net for raw and RFC 2217."""

import os
import random
import select
import socket
import subprocess
import threading
import tty

from harness import free_port, pause, wait_for


class Server:
    """One client; a waiting second one is accepted and hears nothing (as ESPHome). dial: the port to connect to instead."""

    def __init__(self, link, dial=None):
        self.fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)
        self.delay = (0.0, 0.0)  # seconds, per segment and direction
        self.split = False
        self.swallow = False  # the peer is dead: its connection stays, nothing passes
        self.refuse = False
        self.connections = 0
        self.requests = 0
        self.client = None
        self.ended = False
        self.dial = dial
        self.port = dial
        if dial is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def name(self):
        return f"tcp://127.0.0.1:{self.port}"

    def _accept(self):
        while not self.ended:
            try:
                client = self._dial() if self.dial else self.listener.accept()[0]
            except OSError:
                pause(0.05, "before it is dialled again")
                continue
            if self.refuse:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            self.client = client
            self._serve(client)

    def _dial(self):
        return socket.create_connection(("127.0.0.1", self.dial), 2)

    def _serve(self, client):
        try:
            while True:  # what piled up is discarded, as ESPHome does
                os.read(self.fd, 4096)
        except BlockingIOError:
            pass
        while not self.ended:
            ready, _, _ = select.select([client, self.fd], [], [], 0.05)
            try:
                if client in ready:
                    data = client.recv(4096)
                    if not data:
                        break
                    self.requests += 1
                    self._pass(lambda piece: os.write(self.fd, piece), data)
                if self.fd in ready:
                    self._pass(client.sendall, os.read(self.fd, 4096))
            except OSError:
                break
        client.close()

    def _pass(self, write, data):
        if self.swallow:
            return
        pause(random.uniform(*self.delay), "a slow network")
        pieces = [data[i:i + 1] for i in range(len(data))] if self.split else [data]
        for piece in pieces:
            write(piece)
            if self.split:
                pause(0.001, "bytes come one by one")

    def inject(self, data=b"\x58\xaa"):
        """Another client asks; its answer goes to all."""
        os.write(self.fd, data)

    def half_close(self):
        self.client.shutdown(socket.SHUT_WR)

    def drop(self):
        self.client.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.ended = True
        if self.dial is None:
            self.listener.close()
        os.close(self.fd)


class Ser2net:
    def __init__(self, folder, link, rfc2217=False, baud=4800):
        self.port = free_port()
        accepter = f"telnet(rfc2217),tcp,127.0.0.1,{self.port}" if rfc2217 else f"tcp,127.0.0.1,{self.port}"
        config = folder / "ser2net.yaml"
        config.write_text(f"connection: &meter\n  accepter: {accepter}\n"
                          f"  connector: serialdev,{link},{baud}n81,local\n")
        self.name = f"{'rfc2217' if rfc2217 else 'tcp'}://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(["ser2net", "-n", "-c", config, "-P", folder / "ser2net.pid"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._listens, 10, "ser2net")
        pause(0.2, "it closes the tty behind that first connection")

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def close(self):
        self.process.terminate()
        self.process.wait(10)
