#!/usr/bin/env python3
"""Writes the small traces of this folder and what the reference implementation says of them.

    python3 generate.py PATH/TO/guard_sim.py

For each scenario: NAME.csv, a trace as `guard_sim.py traces` writes it, and NAME.lnw: the logarithm of the evidence at
the end of each slot of 100 ms, a line each, up to the breach; then `breached T N_NEW F_NEW CAUSE` or `none`.
Needs numpy. The scenarios are smaller relatives of the reference's own, chosen so that each part of the guard works:
de-duplication, learning old's latency anew after a minute, blocks that wait for the other arm, the burst cap.
"""
import contextlib, importlib.util, io, os, sys

import numpy as np

SCENARIOS = {
    'healthy_moving': dict(rate=30, share=.3, eo=.02, secs=130, diurnal=True, users=400),
    'hard_down_canary': dict(rate=70, share=.05, eo=.001, en=1.0, t0=25, secs=60, users=900),
    'hard_down_half': dict(rate=60, share=.5, eo=.001, en=1.0, t0=15, secs=30, users=900),
    'hard_down_slow_site': dict(rate=5, share=.5, eo=0.0, en=1.0, t0=60, secs=100, users=900),
    'hangs': dict(rate=40, share=.1, eo=.001, en=1.0, hang=2000.0, t0=20, secs=60, users=900),
    'five_percent': dict(rate=80, share=.5, eo=.001, en=.08, t0=20, secs=60, users=2000),
    'shared_outage': dict(rate=60, share=.3, eo=.001, outage=(15, 35, .6), secs=50, users=300),
    'shared_slow': dict(rate=30, share=.3, eo=.001, shared_slow=(40, 100, 4.0), secs=130, users=600),
    'burst': dict(rate=60, share=.1, eo=.0005, burst=(20, 5), secs=35, users=900),
    'one_user_fails': dict(rate=30, share=.1, eo=.0005, cluster=(10, 200, .2), secs=60, users=300),
    'slower_x3': dict(rate=70, share=.2, eo=.001, lat=3.0, t0=15, secs=60, users=900),
}


def write(path, rows):
    with open(path, 'w', newline='') as out:
        out.write('t,arm,ok,latency_ms,user\n')
        for t, new, ok, ms, user in rows:
            out.write('%.6f,%s,%d,%.3f,%d\n' % (t, 'new' if new else 'old', ok, ms, user))


def main():
    spec = importlib.util.spec_from_file_location('guard_sim', sys.argv[1])
    sim = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sim)
    here = os.path.dirname(os.path.abspath(__file__))
    for number, (name, scenario) in enumerate(SCENARIOS.items()):
        path = os.path.join(here, name + '.csv')
        rows = list(zip(*sim.gen_trace(np.random.default_rng([20, number]), scenario)))
        write(path, rows)
        dump = io.StringIO()
        with contextlib.redirect_stdout(dump):
            first = sim.replay(sim.read_trace(path), .05, True).first
        if first:  # what comes after the breach shows nothing more
            last = next(at for at, row in enumerate(rows) if row[0] >= first['t'])
            write(path, rows[:last + 10])
        with open(os.path.join(here, name + '.lnw'), 'w') as out:
            for line in dump.getvalue().splitlines():
                out.write('%.8f\n' % float(line.split()[1]))
            out.write('breached %(t)s %(n_new)d %(f_new)d %(cause)s\n' % first if first else 'none\n')
        print(name, len(rows), first)


main()
