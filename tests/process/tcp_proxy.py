"""A wire that a test holds in its hands: passes bytes between a client and a node's address, late or not at all."""

import selectors
import socket
import threading


class Proxy:
    """Listens on a port of its own and passes everything on to `target` and back. One thread."""

    def __init__(self, target, address="127.0.0.1"):
        self._target = target
        self._listener = socket.create_server((address, 0))
        self.address = f"{address}:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._lock = threading.Lock()
        self._held = False
        self._refuses = False
        self._pairs = []
        self._hung_up = set()  # pairs whose client is gone, with bytes still held back
        self._queues = {}  # socket -> bytes that are to go there
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # --- what a test does

    def hold(self):
        """From now on what clients send waits here; what nodes send still passes."""
        with self._lock:
            self._held = True

    def release(self):
        with self._lock:
            self._held = False

    def waiting_bytes(self):
        """What is held back now."""
        with self._lock:
            return sum(len(queue) for (_, towards_node), queue in self._queues.items() if towards_node)

    def cut(self):
        """Ends all connections, and refuses new ones until mend()."""
        with self._lock:
            self._refuses = True
            for client, node in self._pairs:
                self._drop(client, node)

    def mend(self):
        with self._lock:
            self._refuses = False

    def close(self):
        self._closed = True
        self._thread.join()
        self._listener.close()

    # --- the wire

    def _run(self):
        while not self._closed:
            events = self._selector.select(0.005)
            with self._lock:
                for key, _ in events:
                    if key.data is None:
                        self._accept()
                    else:
                        self._read(*key.data)
                self._write_all()
        with self._lock:
            for client, node in list(self._pairs):
                self._drop(client, node)

    def _accept(self):
        client, _ = self._listener.accept()
        if self._refuses:
            client.close()
            return
        try:
            host, port = self._target.rsplit(":", 1)
            node = socket.create_connection((host, int(port)), timeout=5)
        except OSError:
            client.close()
            return
        pair = (client, node)
        for one in pair:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(client, selectors.EVENT_READ, (pair, True))
        self._selector.register(node, selectors.EVENT_READ, (pair, False))
        self._pairs.append(pair)
        self._queues[(pair, True)] = bytearray()
        self._queues[(pair, False)] = bytearray()

    def _read(self, pair, towards_node):
        if pair not in self._pairs:
            return
        source = pair[0] if towards_node else pair[1]
        try:
            data = source.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if towards_node and self._queues[(pair, True)]:
                # A client that hung up doesn't take back what is already on its way.
                self._selector.unregister(source)
                self._hung_up.add(pair)
            else:
                self._drop(*pair)
            return
        self._queues[(pair, towards_node)] += data

    def _write_all(self):
        for (pair, towards_node), queue in list(self._queues.items()):
            if not queue or (towards_node and self._held) or (pair in self._hung_up and not towards_node):
                continue
            try:
                sent = (pair[1] if towards_node else pair[0]).send(queue)
                del queue[:sent]
                if not queue and pair in self._hung_up:
                    self._drop(*pair)
            except BlockingIOError:
                continue
            except OSError:
                self._drop(*pair)

    def _drop(self, client, node):
        pair = (client, node)
        if pair not in self._pairs:
            return
        self._pairs = [other for other in self._pairs if other != pair]
        for towards_node in (True, False):
            self._queues.pop((pair, towards_node), None)
        for one in pair:
            if one is not client or pair not in self._hung_up:
                self._selector.unregister(one)
            one.close()
        self._hung_up.discard(pair)

