#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include what: docs/architecture.md, section 1, as a test.

Each folder may include the headers and folders of its row only.  A source
folder without a row is an error, so a new one has to take a place.
"""
import pathlib
import re
import sys

ALLOWED = {
    "include/core": {"core"},
    "include/hv": {"core", "hv"},
    "include/vmbus": {"core", "hv/ports.h", "vmbus"},
    "include/backend": {"core", "backend"},
    "src/core": {"core"},
    "src/hv": {"core", "hv"},
    "src/vmbus": {"core", "hv/ports.h", "vmbus"},
    "src/backends": {"core", "backend", "backends"},
    "src/devices/scsi": {"core", "backend", "devices/scsi"},
    "src/devices/storvsp": {"core", "backend", "vmbus/channel.h",
                            "vmbus/proto.h", "devices/scsi",
                            "devices/storvsp"},
    "src/devices/netvsp": {"core", "backend", "vmbus/channel.h",
                           "vmbus/proto.h", "devices/netvsp"},
    "src/devices/chipset": {"core", "backend", "devices/chipset"},
    "src/vmm": {"core", "hv", "vmbus", "backend", "backends", "devices",
                "vmm"},
}
# System headers that would break a layer's promise to be a pure machine.
FORBIDDEN_SYSTEM = {
    "src/hv": r"linux/kvm\.h|pthread_create|liburing\.h|sys/ioctl\.h",
    "src/vmbus": r"linux/kvm\.h|liburing\.h|sys/ioctl\.h",
}


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if match:
            yield number, match[1], match[2]


def check(root):
    problems = []
    for path in sorted(root.glob("src/**/*.[ch]")) + sorted(
            root.glob("include/**/*.[ch]")):
        folder = path.parent.relative_to(root).as_posix()
        if folder not in ALLOWED:
            problems.append(f"{folder}: has no row in {__file__}")
            continue
        for number, kind, name in includes(path):
            where = f"{path.relative_to(root)}:{number}"
            if kind == '"':
                if not any(name == a or name.startswith(a + "/")
                           for a in ALLOWED[folder]):
                    problems.append(f"{where}: {folder} must not include "
                                    f"{name}")
            elif re.fullmatch(FORBIDDEN_SYSTEM.get(folder, r"(?!)"), name):
                problems.append(f"{where}: {folder} must not include <{name}>")
    return problems


if __name__ == "__main__":
    found = check(pathlib.Path(sys.argv[1]))
    print("\n".join(found) or "layers: clean")
    sys.exit(bool(found))
