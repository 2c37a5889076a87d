"""Texts that mean something to a terminal, a log, a header, a page, a table or a shell."""

from __future__ import annotations

TEXTS = {
    "lines": "a\r\n2026-01-01T00:00:00.000Z INFO forged: b\nc",
    "terminal": "a\x1b[2J\x1b]0;title\x07\x9b31mb",
    "header": "a\r\nSet-Cookie: b=c\r\n\r\n<p>",
    "page": "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;",
    "metric": 'a",status="forged"} 1\nb\\',
    "table": '=HYPERLINK("http://x"),"b";\tc\n@d',
    "shell": "$(touch x); `id` | rm -rf ~ && echo 'a",
    "path": "../../etc/passwd\0.png",
    "separators": "a\u2028b\u2029c\x85d\x0be",
    "direction": "a\u202egnp.exe",
    "surrogate": "a\ud83d",
    "json": '"}, {"level": "INFO", "message": "forged',
    "format": "%s %n {0} {0.__class__} ${jndi:ldap://x}",
}
