"""Lines of several threads come whole."""

from __future__ import annotations

import subprocess
import sys

NUM_LINES = 5000
TALKERS = f"""
import sys, threading
from components.trainjob.say import say
sys.setswitchinterval(1e-6)
def talk(name):
    for i in range({NUM_LINES}):
        say(name + str(i))
threads = [threading.Thread(target=talk, args=(name,)) for name in "ab"]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_two_threads_do_not_break_into_each_others_lines() -> None:
    done = subprocess.run([sys.executable, "-c", TALKERS], capture_output=True, text=True)
    wanted = [f"{name}{number}" for name in "ab" for number in range(NUM_LINES)]
    assert sorted(done.stdout.splitlines()) == sorted(wanted)
