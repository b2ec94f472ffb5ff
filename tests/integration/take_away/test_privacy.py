"""No secret, no hash of one and no address is in an export: everything that could be one is a canary here."""

from __future__ import annotations

import base64
from pathlib import Path

from tests.integration.archives.setups import Setup, row, write_rows
from tests.integration.take_away.conftest import export, members

# 40 bytes each, as sealed tokens are longer than 33; hashes have 32.
SEALED = b"canary-sealed-login-that-must-not-leave!!"
HASH = b"canary-hash-of-a-secret-32-bytes"
ADDRESS = "203.0.113.77"
TEXT = "canary-text-that-must-not-leave"
SHARE, OTHER = "canaryReport", "canary-other-listener"

CANARIES = """
with ana as (select user_id from app.users where user_key = 'ana'),

sessions as (
    insert into app.sessions (user_id, reference_hash, method, device)
    select user_id, %(hash)s, 'link', %(text)s from ana
    returning session_id, user_id
),

tokens as (
    insert into app.access_tokens (user_id, token_hash, name) select user_id, %(hash)s, %(text)s from ana
),

links as (
    insert into app.sign_in_links (link_hash, user_id, expires_at) select %(hash)s, user_id, now() from ana
),

sign_ins as (
    insert into app.sign_ins (state_hash, user_id, client_id, answer)
    select %(hash)s, user_id, %(text)s, %(text)s from ana
),

attempts as (
    insert into app.sign_in_attempts (attempt_id, secret_hash, code, app_name, scope, address, state, user_id)
    select 'canary-attempt-0000000', %(hash)s, 'ABCD-EFGH', %(text)s, 'read', %(address)s, 'allowed', user_id from ana
),

logins as (
    insert into app.credentials (
        user_id, client_id, account_key, refresh_token, authorised_at, refreshed_at, last_error
    )
    select user_id, %(text)s, 'account:known', %(sealed)s, now(), now(), %(text)s from ana
),

accounts as (
    insert into app.provider_accounts (user_id, provider, provider_account, client_id, linked_at)
    select user_id, 'tidal', 'known', %(text)s, now() from ana
    returning account_id
),

account_logins as (
    insert into app.account_credentials (account_id, refresh_token, access_token, access_expires_at, authorised_at)
    select account_id, %(sealed)s, %(sealed)s, now(), now() from accounts
),

services as (
    insert into app.linked_services (user_id, service, account, secret, linked_at)
    select user_id, 'lastfm', 'known', %(sealed)s, now() from ana
),

audits as (
    insert into app.audit (event, user_id, address, detail)
    select 'signed_in', user_id, %(address)s, jsonb_build_object('device', %(text)s::text) from ana
),

answers as (
    insert into app.kept_answers (user_id, idempotency_key, fingerprint, status, body, kept_at)
    select user_id, %(text)s, %(hash)s, 200, %(text)s, now() from ana
),

sign_ins_at_services as (
    insert into app.provider_sign_ins (session_id, provider, user_id, state_hash, verifier, redirect_uri, expires_at)
    select session_id, 'tidal', user_id, %(hash)s, %(sealed)s, %(text)s, now() from sessions
),

reports as (
    insert into app.shares (share_id, user_id, kind, title, snapshot, made_at)
    select %(share)s, user_id, 'year', 'known', '{"version": 1}', now() from ana
),

others as (
    insert into app.users (user_key, display_name, time_zone) values (%(other)s, %(text)s, 'UTC') returning user_id
),

agreements as (
    insert into app.agreements (
        inviter_id, invitee_id, link_hash, inviter_parts, invitee_parts, invited_at, expires_at, accepted_at
    )
    select ana.user_id, others.user_id, %(hash)s, '{tops}', '{tops}', now(), now() + interval '1 day', now()
    from ana cross join others
),

targets as (
    insert into app.notice_targets (
        target_id, user_id, channel, name, shown, address, secret, former_secret, former_until, created_at
    )
    select gen_random_uuid(), user_id, 'webhook', 'known', 'https://known.example', %(sealed)s, %(sealed)s, %(sealed)s,
        now(), now()
    from ana
    returning target_id, user_id
),

deliveries as (
    insert into ops.notice_deliveries (
        delivery_id, user_id, target_id, moment, kind, payload, created_at, due_at, error
    )
    select gen_random_uuid(), user_id, target_id, 'test', 'test', %(text)s, now(), now(), %(text)s from targets
)

update app.imports set account_hash = %(hash)s, error = null
"""


def leaks(files: dict[str, bytes]) -> list[tuple[str, str]]:
    """Members that hold a canary: as it is, in hex, in base64, or a part of it."""
    wanted = {text: [text.encode()] for text in (ADDRESS, TEXT, SHARE, OTHER)}
    for secret in (SEALED, HASH):
        wanted[secret.decode()] = [
            secret[:12], secret.hex().encode(), base64.b64encode(secret)[:16], base64.urlsafe_b64encode(secret)[:16]
        ]  # fmt: skip
    return [
        (name, canary)
        for name, data in files.items()
        for canary, forms in wanted.items()
        if any(form.lower() in data.lower() for form in forms)
    ]


def test_the_search_finds_what_it_looks_for() -> None:
    assert leaks({"a": b"x" + SEALED.hex().encode(), "b": ADDRESS.encode(), "c": b"nothing"}) == [
        ("a", SEALED.decode()), ("b", ADDRESS)
    ]  # fmt: skip


def test_no_secret_and_no_address_is_in_an_export(shared_setup: Setup, tmp_path: Path) -> None:
    shared_setup.bring(write_rows(tmp_path / "archive.zip", row(0), row(300)))
    with shared_setup.warehouse.connect("owner") as connection:  # type: ignore[arg-type]
        values = {
            "hash": HASH, "sealed": SEALED, "text": TEXT, "address": ADDRESS, "share": SHARE, "other": OTHER,
        }  # fmt: skip
        connection.execute(CANARIES, values)
    path = tmp_path / "export.zip"
    export(shared_setup, path)
    files = members(path)
    assert b"signed_in" in files["accounts/audit.ndjson"]
    assert b"known" in files["accounts/playlist_services.ndjson"]
    assert b"known" in files["accounts/listening_services.ndjson"]
    for part in ("sharing/reports", "settings/notice_targets"):
        assert b"known" in files[f"{part}.ndjson"]
    assert b"tops" in files["sharing/agreements.ndjson"]
    assert leaks(files) == []
