"""Child: memtrace in this process, without gdb.

Does what gdb does once it is in: writes a request into the mailbox (helper/memtrace.h) and
has it carried out, here by memtrace_serve_here() with the GIL held."""

import ctypes
import os
import sysconfig

from memtrace import abi

BUFFER_BYTES = 64 * 1024 * 1024  # what `memtrace on` takes by default


class Refused(Exception):
    """The helper is not there, or refused a request; says why."""


def helper_name():
    """The file name of the helper for this interpreter."""
    return "memtrace-%s.so" % sysconfig.get_config_var("SOABI")


class Helper:
    """The helper, loaded; the buffer is made with the first one."""

    def __init__(self, directory, buffer_bytes=BUFFER_BYTES):
        path = os.path.join(directory, helper_name())
        if not os.path.exists(path):
            raise Refused("%s is not in %s" % (helper_name(), directory))
        library = ctypes.PyDLL(path)
        library.memtrace_open.restype = ctypes.c_void_p
        library.memtrace_open.argtypes = [ctypes.c_uint64]
        self._serve = library.memtrace_serve_here
        self.address = library.memtrace_open(buffer_bytes)
        if not self.address:
            raise Refused("memtrace_open failed")
        self.control = abi.Control.from_address(self.address)
        if self.control.abi_version != abi.ABI_VERSION:
            raise Refused("the helper has ABI %d" % self.control.abi_version)

    def request(self, *lines):
        """Carry out a request of these lines."""
        control = self.control
        control.request = "".join(line + "\n" for line in lines).encode()
        control.request_number = control.done_number + 1
        if self._serve():
            raise Refused(control.detail.decode("utf-8", "replace"))

    def events(self):
        """Events so far."""
        return self.control.next_seq - 1

    def losses(self):
        """What was lost, by reason; events of reused packets are no loss to a benchmark."""
        found = {}
        for name, _ in self.control._fields_:
            if name.startswith("lost_") and name != "lost_overwritten":
                if getattr(self.control, name):
                    found[name] = getattr(self.control, name)
        return found

    def bytes_of_events(self):
        """(bytes, events) of all packets of events that are full."""
        control = self.control
        total_bytes = total_events = 0
        for i in range(control.packet_count):
            at = self.address + control.packets_offset + i * abi.PACKET_BYTES
            packet = abi.PacketHeader.from_address(at)
            if packet.magic == abi.CTF_MAGIC and packet.stream_id == abi.STREAM_EVENTS:
                if packet.timestamp_end:
                    total_bytes += packet.content_bits // 8 - ctypes.sizeof(abi.PacketHeader)
                    total_events += packet.event_count
        return total_bytes, total_events


def literal(text):
    """A glob that matches just this text, for a request."""
    glob = "".join("[%s]" % c if c in "*?[" else c for c in text)
    return glob.replace("%", "%25").replace("\n", "%0A")
