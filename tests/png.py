"""PNG files made by hand, for what Pillow cannot write."""

import struct
import zlib


def png_bytes(width: int, height: int, depth: int, color: int, data: bytes) -> bytes:
    """A PNG made by hand, for what Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
