"""The guard's own pages: small, without a template engine, and usable without a script."""

from __future__ import annotations

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="/myi/enter.css">
</head>
<body>
<main>
{main}
</main>
</body>
</html>
"""

_SIGN_IN = """<h1>Dagster's pages</h1>
{trouble}<p>Anyone with access to these pages can start and delete everything, so sign in first. Either</p>
<ul>
<li>open the link that <code>myi up</code> printed when it started, or one of <code>myi dagster-link</code>, or</li>
<li><a href="{site}/sign-in">sign in to MYI</a> as an operator (<code>myi user set KEY --operator</code>), and come
back.</li>
</ul>
<form method="post" action="/myi/enter" id="enter">
<p><label for="secret">The link, or what stands behind its number sign</label>
<input id="secret" name="secret" type="password" autocomplete="off" required></p>
<input type="hidden" name="return_to" value="{return_to}">
<p><button type="submit">Sign in</button></p>
</form>
<script src="/myi/enter.js"></script>"""

_ACCOUNT = """<h1>You are signed in</h1>
<p><a href="/">Dagster's pages</a></p>
<form method="post" action="/myi/sign-out"><p><button type="submit">Sign out here</button></p></form>
<p>If you came in as an operator of MYI, sign out there.</p>"""


def sign_in_page(*, site: str, return_to: str, trouble: str | None = None) -> str:
    said = f'<p role="alert"><strong>{escape(trouble)}</strong></p>\n' if trouble else ""
    main = _SIGN_IN.format(trouble=said, site=escape(site), return_to=escape(return_to))
    return _PAGE.format(title="Sign in – Dagster", main=main)


def account_page() -> str:
    return _PAGE.format(title="Signed in – Dagster", main=_ACCOUNT)
