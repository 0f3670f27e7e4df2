"""What every realm starts with is made once for a whole run of tests, and copied: most of a realm's
start is keys derived from passwords, and always the same ones.

The copies lie in the build directory, below tests/realm/templates; where there is none (realm.py by
hand), nothing is kept. A folder is named by all that went into it, the KDC's program and the sources
of the fixture included, so that none is ever out of date."""
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def fill(folder, what, programs, make):
    """Puts into `folder` the files that make() puts there. what: a text that tells these files from
    others; programs: those that make them. Realms of one text share keys, as they share passwords."""
    build = os.environ.get("KB_BUILDDIR")
    if not build:
        make()
        return
    templates = os.path.join(build, "tests", "realm", "templates")
    os.makedirs(templates, exist_ok=True)
    kept = os.path.join(templates, _digest(what, programs))
    # Whoever comes first makes it, the others wait: the system opens the lock of one that is killed.
    with open(kept + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(kept):
            before = set(os.listdir(folder))
            make()
            _keep(folder, set(os.listdir(folder)) - before, kept)
            return
    for name in os.listdir(kept):
        shutil.copy2(os.path.join(kept, name), folder)


def _keep(folder, names, kept):
    new = tempfile.mkdtemp(dir=os.path.dirname(kept))
    try:
        for name in names:
            shutil.copy2(os.path.join(folder, name), new)
        os.rename(new, kept)
    except OSError:
        # A full disk: the realm is there all the same.
        with contextlib.suppress(OSError):
            shutil.rmtree(new)


def _digest(what, programs):
    text = [what]
    for path in programs:
        about = os.stat(path)
        text.append(f"{path} {about.st_size} {about.st_mtime_ns}")
    for source in ("kdc.py", "realm.py", "template.py"):
        with open(os.path.join(HERE, source)) as file:
            text.append(file.read())
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]
