"""A web application: bottle behind wsgiref on the loopback, asked by another process.

The client lives as long as this process and sends one request after the other over the
connections that it is told to make, so what is timed is the service and not the start of a
process. Every request has a bound; a client that fails ends the run with an exception."""

import atexit
import socketserver
import subprocess
import sys
import wsgiref.simple_server

NEEDS = "bottle"
SIZE = 30
PEER_SIZE = 2
ONE = "Service.create"

CLIENT = r"""
import http.client, json, sys
for line in sys.stdin:
    port, requests = map(int, line.split())
    total = 0
    for i in range(requests):
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        if i % 3 == 0:
            link.request("POST", "/notes", json.dumps({"title": "note %d" % i, "stars": i % 5}),
                         {"Content-Type": "application/json"})
        elif i % 3 == 1:
            link.request("GET", "/notes/%d" % (i // 3 + 1))
        else:
            link.request("GET", "/")
        answer = link.getresponse()
        total += len(answer.read()) + answer.status
        link.close()
    print(total, flush=True)
"""

PAGE = """<h1>{{len(notes)}} notes</h1>
<ul>
% for number, note in sorted(notes.items()):
<li>{{number}}: {{note["title"]}} {{"*" * note["stars"]}}</li>
% end
</ul>
"""


class Service:
    def __init__(self):
        import bottle

        self.bottle = bottle
        self.notes = {}
        self.served = 0
        self.app = bottle.Bottle()
        self.app.route("/", "GET", self.front)
        self.app.route("/notes", "POST", self.create)
        self.app.route("/notes/<number:int>", "GET", self.show)

    def front(self):
        self.served += 1
        return self.bottle.template(PAGE, notes=self.notes)

    def create(self):
        body = self.bottle.request.json
        number = len(self.notes) + 1
        stars = min(5, int(body["stars"]))
        self.notes[number] = {"title": body["title"], "stars": stars}
        self.served += 1
        return {"number": number}

    def show(self, number):
        note = self.notes.get(number)
        self.served += 1
        if note is None:
            raise self.bottle.HTTPError(404, "no such note")
        return note


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format, *args):
        pass

    def address_string(self):
        return self.client_address[0]


class Server(wsgiref.simple_server.WSGIServer):
    allow_reuse_address = True
    request_queue_size = 16

    def server_bind(self):
        # Without the look-up of our own name, which may take seconds where there is no resolver.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]
        self.setup_environ()


_client = None


def client():
    global _client
    if _client is None:
        _client = subprocess.Popen(
            [sys.executable, "-I", "-c", CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            universal_newlines=True,
        )
        atexit.register(_client.stdin.close)
    return _client


def run(size):
    service = Service()
    server = Server(("127.0.0.1", 0), Quiet)
    server.set_app(service.app)
    try:
        asker = client()
        asker.stdin.write("%d %d\n" % (server.server_port, size))
        asker.stdin.flush()
        for _ in range(size):
            server.handle_request()
        return service.served, len(service.notes), int(asker.stdout.readline())
    finally:
        server.server_close()
