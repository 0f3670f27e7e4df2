#!/usr/bin/python3
"""A hostile KDC and a hostile service, through the real plugin in real processes: nothing crashes, hangs,
burns two seconds of CPU or is accepted that the encrypted part does not confirm.
  test_hostile.py [--count N] [--seed N] [--only WORD] [--every N] [--workers N] [-v]"""
import argparse
import multiprocessing
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases        # noqa: E402
import krb          # noqa: E402
import runner       # noqa: E402


def work(wanted, verbose, queue):
    """One worker: a KDC, a service and a process that logs in."""
    run = runner.Runner()
    cases.CURRENT[0] = run.kdc
    for case in wanted:
        try:
            out = run.run(case)
            wrong = run.judge(case, out)
        except Exception as e:                                          # noqa: BLE001
            wrong = [f"{type(e).__name__}: {e}"]
            out = None
            if not isinstance(e, AssertionError):
                run.login.kill()
                run.close()
                run = runner.Runner()
                cases.CURRENT[0] = run.kdc
        queue.put((case.name, wrong, out and (out.cpu, out.wall, out.ok, out.text), list(run.kdc.seen)))
    queue.put((None, run.close(), None, None))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=int(os.environ.get("KB_HOSTILE_COUNT", "400")))
    parser.add_argument("--seed", type=int, default=20120)
    parser.add_argument("--only", default="")
    parser.add_argument("--every", type=int, default=1, help="one case of so many")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("-v", action="store_true")
    args = parser.parse_args()
    for needed in (runner.LOGIN, runner.PLUGIN):
        if not os.path.exists(needed):
            print("SKIPPED, missing:", needed)
            return 77
    krb.self_test()
    began = time.monotonic()
    wanted = [c for c in cases.all_cases(args.count, args.seed) if args.only in c.name]
    wanted = wanted[::args.every]
    queue = multiprocessing.Queue()
    context = multiprocessing.get_context("fork")
    # Cases that wait come in rows: dealt out like cards, every worker gets some.
    workers = [context.Process(target=work, args=(wanted[n::args.workers], args.v, queue))
               for n in range(min(args.workers, len(wanted)))]
    for worker in workers:
        worker.start()
    left, count, failed, accepted, cpu, slowest = len(workers), 0, 0, 0, 0.0, []
    while left:
        name, wrong, out, seen = queue.get()
        if name is None:
            left -= 1
            name = "a process"
        else:
            count += 1
            if out:
                accepted += out[2]
                cpu += out[0]
                slowest = sorted(slowest + [(out[0], out[1], name)])[-5:]
        if args.v and out:
            print(f"{name}: {'accepted' if out[2] else out[3]} [{' '.join(seen)}] "
                  f"{out[0]:.3f} s CPU, {out[1]:.2f} s")
        for sentence in wrong:
            failed += 1
            print(f"FAILED {name}: {sentence}", flush=True)
    for worker in workers:
        worker.join()
    print(f"{count} attacks, {accepted} of them harmless, {failed} failures; "
          f"{time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU in all logins")
    for cpu, wall, name in slowest[::-1] if args.v else ():
        print(f"  most CPU: {cpu:.2f} s ({wall:.2f} s): {name}")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
