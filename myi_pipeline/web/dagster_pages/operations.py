"""What a GraphQL request would do, judged by its text alone, with the parser that Dagster itself uses.

Invariant: what cannot be parsed counts as a change.
"""

from __future__ import annotations

import json
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

# The longest that the pages themselves send is 30 kB; parsing costs time that a stranger's request shall not have.
_LONGEST_QUERY = 200_000


class NotUnderstood(ValueError):
    """A request that is none; the message says why."""


def operations(query: str) -> frozenset[OperationType]:
    """The kinds of operations in a document. Raises NotUnderstood."""
    if len(query) > _LONGEST_QUERY:
        raise NotUnderstood("the query is too long")
    try:
        document = parse(query, no_location=True)
    except (GraphQLError, RecursionError):
        raise NotUnderstood("the query is not GraphQL") from None
    return frozenset(node.operation for node in document.definitions if isinstance(node, OperationDefinitionNode))


def only_reads(query: str) -> bool:
    """Raises NotUnderstood."""
    return operations(query) <= {OperationType.QUERY}


def only_subscribes(query: str) -> bool:
    """Raises NotUnderstood."""
    return operations(query) <= {OperationType.SUBSCRIPTION, OperationType.QUERY}


def query_of_body(body: bytes) -> str:
    """The query of a JSON body. Raises NotUnderstood."""
    found = _object(body)
    query = found.get("query")
    if not isinstance(query, str):
        raise NotUnderstood("the request has no query")
    return query


def query_of_message(text: str) -> str | None:
    """The query that a WebSocket message would start, in either protocol; None for one that starts nothing.

    Raises NotUnderstood.
    """
    found = _object(text.encode())
    if found.get("type") not in ("start", "subscribe"):
        return None
    payload = found.get("payload")
    query = payload.get("query") if isinstance(payload, dict) else None
    if not isinstance(query, str):
        raise NotUnderstood("the request has no query")
    return query


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("this is not JSON") from None
    if not isinstance(found, dict):
        # Dagster takes no batches.
        raise NotUnderstood("one request at a time")
    return found
