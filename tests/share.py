# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases that runners side by side share."""
import contextlib
import os


def untaken(names):
    """Those of @names that no other runner has taken before.

    The runners' $KVMBUS_TAKEN is one folder, in which each notes what it takes.
    Then @names are printed, too: that all have a result is for scripts/check
    to see, as a runner can end before its time.  Without it all are ours.
    """
    folder = os.environ.get('KVMBUS_TAKEN')
    if not folder:
        yield from names
        return
    print('cases', *names, flush=True)
    for name in names:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(folder, name))
            yield name
