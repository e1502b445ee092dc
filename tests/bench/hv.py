#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The hypervisor interface: kvmbus beside QEMU with all its hv-* flags.

    hv.py KVMBUS BUILD

Figures as run.py's, from two guests.  The micro guest "cost" counts how long a
way out and back takes: without the VMM (cpuid), to it (out), and those of the
interface.  A Debian kernel says what its clock costs, how late its timers are,
and idles; exits are the kernel's own counts.  In the rows "stimer", kvmbus has
--hv-timers on; else its guest has the APIC's timer.
"""
import collections
import contextlib
import pathlib
import re
import subprocess
import sys
import threading
import time

import run

BUILD = pathlib.Path(sys.argv[2])
COST = BUILD / 'tests/micro/guest_cost.elf'
CLOCKS = BUILD / 'tests/bench/clocks'
TIME_REF_COUNT = 0x40000020
ROUNDS_OF_COST = 2000
PATIENCE = 180		# seconds that a guest may take
# All flags that are of use to a guest like these.  Linux does not know the
# name that hv-passthrough would give.
QEMU_CPU = ('-M', 'q35', '-cpu', 'host,kvm=off,hv-relaxed,hv-vapic,'
            'hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-crash,hv-time,'
            'hv-synic,hv-stimer,hv-stimer-direct,hv-tlbflush,hv-ipi,'
            'hv-frequencies')
# The connection that QEMU's own VMBus takes events from.
VMBUS_EVENTS = 2

REASONS = {
    # AMD's APM volume 2, appendix C
    'kvm_amd': {0x60: 'intr', 0x64: 'vintr', 0x72: 'cpuid', 0x77: 'pause',
                0x78: 'hlt', 0x7b: 'io', 0x7c: 'msr', 0x400: 'npf'},
    # Intel's SDM volume 3, appendix C
    'kvm_intel': {1: 'intr', 7: 'vintr', 10: 'cpuid', 12: 'hlt', 30: 'io',
                  31: 'msr', 32: 'msr', 40: 'pause', 48: 'npf', 52: 'timer'},
}

SCRIPT = f'''
clock=/sys/devices/system/clocksource/clocksource0/current_clocksource
timer=/sys/devices/system/clockevents/clockevent0/current_device
echo "USES $(cat $clock) $(cat $timer)"
echo IDLE; sleep {run.IDLE_SECONDS + 4}
echo TIME; /clocks time
/clocks sleep; sleep 2
'''


def kvmbus(append):
    return run.kvmbus(run.SCRATCH / 'hv.cpio', [], append) + ['--trace', 'kvm']


def kvmbus_stimer(append):
    return kvmbus(append) + ['--hv-timers', 'on']


def qemu(append):
    return run.qemu(run.SCRATCH / 'hv.cpio', append, *QEMU_CPU)


def kvmbus_cost():
    return run.kvmbus_of(COST, [run.SCRATCH / 'data'],
                         f'rounds={ROUNDS_OF_COST}')


def qemu_cost():
    return run.qemu_of(
        COST, f'rounds={ROUNDS_OF_COST} connection={VMBUS_EVENTS}',
        *QEMU_CPU, '-device', 'vmbus-bridge')


def reason_name(number):
    for module, names in REASONS.items():
        if pathlib.Path('/sys/module', module).exists():
            return names.get(number, hex(number))
    return hex(number)


@contextlib.contextmanager
def machine(words, stderr):
    """A machine, and the words of each line that it says.  It ends with us, or
    when it takes too long."""
    with subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=stderr) as p:
        limit = threading.Timer(PATIENCE, p.kill)
        limit.start()
        try:
            yield p.pid, (line.decode(errors='replace').split() or ['']
                          for line in p.stdout)
        finally:
            limit.cancel()
            p.kill()


class Guest:
    """One run of SCRIPT; what it says is turned into figures."""

    def __init__(self, counters, figures):
        self.counters = counters
        self.figures = figures
        self.pid = self.stderr = self.before = None
        self.begin = 0

    def exits(self):
        return self.counters['exits'].by_values(run.threads(self.pid))

    def ref_reads(self):
        """Reads of TIME_REF_COUNT.  KVM counts those that it answers, and
        kvmbus, whose MSRs KVM leaves alone, says each of its own."""
        reads = self.counters['msrs'].by_values(run.threads(self.pid))
        said = pathlib.Path(self.stderr.name).read_text()
        return (reads or {}).get((TIME_REF_COUNT, 0), 0) + len(re.findall(
            rf'kvm\.msr .*msr={TIME_REF_COUNT:#x} write=0', said))

    def idle(self):
        time.sleep(3)
        before = self.exits()
        if before is None:
            return
        time.sleep(run.IDLE_SECONDS)
        hits = self.exits() - before
        rates = collections.Counter()
        for (number,), count in hits.items():
            rates[reason_name(number)] += count / run.IDLE_SECONDS
        self.figures['idle-exits'].append(sum(rates.values()))
        for name in set(REASONS['kvm_amd'].values()) | set(rates):
            self.figures[f'idle-exits-{name}'].append(rates[name])

    def heard(self, word, values):
        """A line of the guest's."""
        if word == 'KVMBUS-BEGIN':
            self.begin = self.ref_reads()
        elif word == 'USES':
            self.figures['uses'] = values
        elif word == 'IDLE':
            self.idle()
        elif word == 'TIME':
            self.before = self.exits()
        elif word == 'CLOCK':
            self.figures['clock_gettime'].append(float(values[0]))
            if self.before is not None:
                self.figures['clock_gettime-exits'].append(
                    sum((self.exits() - self.before).values()) * 1000 /
                    int(values[1]))
        elif word == 'LATE':
            median, worst = (int(v) / 1000 for v in values)
            self.figures['timer-late'].append(median)
            self.figures['timer-late-99%'].append(worst)
            self.figures['ref-count-reads'].append(
                self.ref_reads() - self.begin)

    def run(self, words):
        with open(run.SCRATCH / 'stderr', 'w', encoding='utf-8') as stderr, \
                machine(words, stderr) as (self.pid, lines):
            self.stderr = stderr
            for word, *values in lines:
                self.heard(word, values)


def measure_cost(words, figures):
    with machine(words, subprocess.DEVNULL) as (_, lines):
        for word, *values in lines:
            if word == 'COST':
                figures[f'cost-{values[0]}'].append(int(values[1]) / 1000)
            elif word in ('not', 'Bail'):
                print(word, *values, file=sys.stderr)
            # QEMU's power button is not where the guest looks for it.
            if word.startswith(('1..', 'Bail')):
                break


def unit(name):
    for part, text in (('cost', 'us'), ('late', 'us'), ('reads', 'reads'),
                       ('idle', 'exits/s'), ('-exits', 'exits/1000'),
                       ('clock', 'ns')):
        if part in name:
            return text
    return ''


def goal(name, value, ratio):
    if name == 'ref-count-reads':
        return '< 100', value < 100
    if name == 'clock_gettime-exits':
        return '< 1', value < 1
    if name == 'clock_gettime':
        return 'ratio <= 1.1', ratio <= 1.1
    return None


def rename(figures):
    """The rows "stimer" of a guest that has these timers."""
    return {'s' + name: values for name, values in figures.items()
            if name.startswith('timer-')}


def main():
    run.prepare(2, {'hv': SCRIPT}, [CLOCKS])
    counters = {'exits': run.Counter('kvm/kvm_exit', 'exit_reason'),
                'msrs': run.Counter('kvm/kvm_msr', 'ecx', 'write')}
    machines = {'kvmbus': (kvmbus_cost, kvmbus),
                'kvmbus --hv-timers on': (None, kvmbus_stimer),
                'qemu': (qemu_cost, qemu)}
    figures = {name: collections.defaultdict(list) for name in machines}
    for n in range(run.ROUNDS):
        for name, (cost, linux) in machines.items():
            print(f'round {n + 1} of {run.ROUNDS}: {name}', file=sys.stderr)
            found = figures[name]
            if cost:
                measure_cost(cost(), found)
            Guest(counters, found).run(linux('console=ttyS0 quiet panic=-1'))
    for name, found in figures.items():
        print(f'{name}: clock and timer are', *found.pop('uses', '?'))
    ours, stimer, theirs = figures.values()
    ours.update(rename(stimer))
    theirs.update(rename(theirs))
    shown = {name: values for name, values in ours.items()
             if any(values + theirs[name]) or not name.startswith('idle-')}
    run.show(shown, [theirs], unit, goal)


if __name__ == '__main__':
    main()
