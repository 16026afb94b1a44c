"""A second opinion on HTTP/1.1 messages: reads what went over a wire and finds fault with whatever two readers could
understand differently. It shares no code with the gate and is meant to be too strict rather than too lax."""
import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[\x21-\x7e\x80-\xff]*|\*) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) [\t\x20-\x7e\x80-\xff]*")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?[ \t]*")
HOST = re.compile(rb"(?:[0-9A-Za-z.\-_]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


class Dirty(Exception):
    """What came could be understood in more than one way."""


class Incomplete(Exception):
    """What came is not whole."""


class Message:
    def __init__(self, first, fields):
        self.first = first
        self.fields = fields
        self.body = b""

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        return values[0] if values else None


def _lines(data):
    """The lines of the head at the start of data, and what follows it."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        raise Incomplete(f"no end of the head in {data[:200]!r}")
    lines = data[:end].split(b"\r\n")
    for line in lines:
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise Dirty(f"a control in {line[:200]!r}")
    return lines, data[end + 4:]


def _head(data, first_line):
    lines, rest = _lines(data)
    first = first_line.fullmatch(lines[0])
    if first is None:
        raise Dirty(f"first line {lines[0][:200]!r}")
    fields = []
    for line in lines[1:]:
        field = FIELD.fullmatch(line)
        if field is None:
            raise Dirty(f"field {line[:200]!r}")
        fields.append((field.group(1).decode(), (field.group(2) or b"").decode("latin-1")))
    return Message(first.groups(), fields), rest


def _chunks(data):
    body = b""
    while True:
        line, found, data = data.partition(b"\r\n")
        if not found:
            raise Incomplete("a chunk's size")
        if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
            raise Dirty(f"chunk size {line[:100]!r}")
        size = int(line, 16)
        if size == 0:
            if data[:2] != b"\r\n":
                raise Dirty("trailers, or no end of the chunks") if len(data) >= 2 else Incomplete("the end of the chunks")
            return body, data[2:]
        if len(data) < size + 2:
            raise Incomplete("a chunk's data")
        if data[size:size + 2] != b"\r\n":
            raise Dirty(f"behind a chunk's data {data[size:size + 2]!r}")
        body, data = body + data[:size], data[size + 2:]


def _framing(message):
    lengths, codings = message.all("Content-Length"), message.all("Transfer-Encoding")
    if len(lengths) + len(codings) > 1:
        raise Dirty(f"framing {lengths} {codings}")
    if codings and codings[0] != "chunked":
        raise Dirty(f"Transfer-Encoding {codings[0]!r}")
    if lengths and not re.fullmatch(r"0|[1-9][0-9]{0,17}", lengths[0]):
        raise Dirty(f"Content-Length {lengths[0]!r}")
    return int(lengths[0]) if lengths else None, bool(codings)


def _counted(data, length):
    if len(data) < length:
        raise Incomplete(f"{len(data)} of {length} bytes")
    return data[:length], data[length:]


def requests(data):
    """The requests in what an origin was sent."""
    found = []
    while data:
        message, data = _head(bytes(data), REQUEST_LINE)
        hosts = message.all("Host")
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0].encode("latin-1")):
            raise Dirty(f"Host {hosts}")
        if message.all("Proxy-Authorization"):
            raise Dirty("the agent's credential travelled")
        length, chunked = _framing(message)
        if chunked:
            message.body, data = _chunks(data)
        elif length is not None:
            message.body, data = _counted(data, length)
        found.append(message)
    return found


def response(data, method=b"GET"):
    """(answer, rest): the first final answer in what a client was sent, interim ones skipped. `until_close` is true where
    the body ends with the connection, so that a cut cannot be told from its end."""
    while True:
        message, data = _head(bytes(data), STATUS_LINE)
        message.status = int(message.first[0])
        if message.status >= 200:
            break
    message.until_close = False
    length, chunked = _framing(message)
    if method == b"HEAD" or message.status in (204, 304):
        return message, data
    if chunked:
        message.body, data = _chunks(data)
    elif length is not None:
        message.body, data = _counted(data, length)
    elif message.one("Connection") == "close":
        message.until_close, message.body, data = True, data, b""
    else:
        raise Dirty(f"no framing: {message.fields}")
    return message, data
