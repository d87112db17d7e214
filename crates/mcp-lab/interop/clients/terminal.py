"""Runs a program at a terminal of its own, whose keyboard and screen are standard input and output; ends
it at the end of the input."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    try:
        if terminal in ready:
            os.write(1, os.read(terminal, 65536))
        typed = os.read(0, 4096) if 0 in ready else None
    except OSError:
        break  # the program has ended
    if typed == b"":
        break
    if typed:
        os.write(terminal, typed)
os.close(terminal)
os.waitpid(pid, 0)
