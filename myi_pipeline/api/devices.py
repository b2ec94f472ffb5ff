"""What a browser calls itself, shortened for people.

Belongs here: reading a User-Agent header. Invariant: it is only ever shown; nothing is decided by it.
"""

from __future__ import annotations

# In the order in which they must be asked: Edge and Opera name Chrome too, Chrome names Safari.
_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip
_LONGEST = 60


def device_name(user_agent: str) -> str:
    """`Firefox on Linux`, or the beginning of what was said."""
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), None)
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), None)
    if browser is not None and system is not None:
        return f"{browser} on {system}"
    return browser or user_agent[:_LONGEST].strip() or "Unknown browser"
