"""The check of an exchange's inboxes.

Lives here: naming what lies there and was refused.
Does not live here: what an inbox takes (`inbox/`, `live/inbox.py`).
"""

from __future__ import annotations

from pipelines.doctor.model import Finding
from pipelines.inbox.deliveries import refused_deliveries, source_files, unplaced
from pipelines.live.inbox import SUFFIXES, batches, inbox_folder
from pipelines.settings import Settings
from pipelines.sources.registry import load_sources

#: Files that are named.
_SHOWN = 5


def check_inbox(mic: str, settings: Settings) -> Finding:
    """Whether a file or a delivery of the inboxes of live bars and of vendor files was refused."""
    check, root, sources = f"inbox {mic}", settings.vendor_inbox_dir, load_sources()
    live_suffixes = SUFFIXES if root == settings.inbox_dir else ()
    lying = [(f"{mic}/{f.shown}", f.fault) for f in batches(inbox_folder(settings.inbox_dir, mic), settings.max_live_file_mb << 20)]
    for name, source in sources.items():
        lying += [(f"{mic}/{name}/{f.shown}", f.fault) for f in source_files(root, mic, source)]
    lying += [(f.shown, f.fault) for f in unplaced(root, mic, settings.exchanges, tuple(sources), live_suffixes)]
    refused = [f"{name}: {fault}" for name, fault in lying if fault is not None]
    refused += [
        f"{mic}/{delivery.describe()}: {'; '.join(reasons)}"
        for delivery, reasons in refused_deliveries(root, settings.state_dir, mic)
    ]
    if not refused:
        return Finding(check, "ok", "nothing lies there that was refused")
    more = f" (and {len(refused) - _SHOWN} more)" if len(refused) > _SHOWN else ""
    advice = "put each right as its reason says, or remove it from the inbox"
    return Finding(check, "error", " | ".join(refused[:_SHOWN]) + more, advice)
