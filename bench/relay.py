"""A relay that puts a KDC some milliseconds away, over UDP and TCP, in a thread of its own."""
import asyncio
import threading


class Relay:
    """Relay(port_of_the_kdc, seconds_each_way).port is where the KDC then seems to be."""

    def __init__(self, kdc_port, delay):
        self.kdc_port, self.delay = kdc_port, delay
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self.loop).result(5)

    async def _start(self):
        transport, _ = await self.loop.create_datagram_endpoint(
            lambda: _Front(self), local_addr=("127.0.0.1", 0))
        self.port = transport.get_extra_info("sockname")[1]
        await asyncio.start_server(self._connection, "127.0.0.1", self.port)

    async def _connection(self, reader, writer):
        # The handshake takes a round trip as well, but happens out of our sight: it is added here.
        await asyncio.sleep(2 * self.delay)
        back, forth = await asyncio.open_connection("127.0.0.1", self.kdc_port)
        await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))

    async def _pump(self, source, sink):
        while data := await source.read(65536):
            await asyncio.sleep(self.delay)
            sink.write(data)
        sink.close()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


class _Front(asyncio.DatagramProtocol):
    """The client's side of the UDP relay: one socket towards the KDC for each client address."""

    def __init__(self, relay):
        self.relay, self.back = relay, {}

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, client):
        self.relay.loop.call_later(self.relay.delay, self._forward, data, client)

    def _forward(self, data, client):
        asyncio.ensure_future(self._send(data, client))

    async def _send(self, data, client):
        if client not in self.back:
            self.back[client], _ = await self.relay.loop.create_datagram_endpoint(
                lambda: _Back(self, client), remote_addr=("127.0.0.1", self.relay.kdc_port))
        self.back[client].sendto(data)


class _Back(asyncio.DatagramProtocol):
    def __init__(self, front, client):
        self.front, self.client = front, client

    def datagram_received(self, data, _):
        self.front.relay.loop.call_later(self.front.relay.delay, self.front.transport.sendto, data,
                                         self.client)
