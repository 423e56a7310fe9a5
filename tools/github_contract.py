"""`python -m tools.github_contract SPEC`: cut what we use of GitHub's API from its description.

SPEC is `generated/api.github.com.deref.json` of the npm package `@octokit/openapi`. Written is
tests/integration/releases/github_contract.json, against which requests and the fake's answers are
checked: the operations below as JSON Schema, without prose and examples.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "tests/integration/releases/github_contract.json"
RULESETS = "/repos/{owner}/{repo}/rulesets"
OPERATIONS = (
    ("post", "/repos/{owner}/{repo}/statuses/{sha}"),
    ("get", RULESETS),
    ("post", RULESETS),
    ("get", RULESETS + "/{ruleset_id}"),
    ("put", RULESETS + "/{ruleset_id}"),
    ("delete", RULESETS + "/{ruleset_id}"),
)
_PROSE = {"description", "example", "examples", "x-github", "externalDocs", "title", "default"}


def main(arguments: list[str]) -> int:
    """Write the contract; return the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    described = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    contract: dict[str, Any] = {"version": described["info"]["version"], "operations": {}}
    for method, path in OPERATIONS:
        operation = described["paths"][path][method]
        contract["operations"][f"{method.upper()} {path}"] = {
            "query": sorted(
                item["name"] for item in operation["parameters"] if item["in"] == "query"
            ),
            "request": _schema(operation.get("requestBody")),
            "responses": {
                status: _schema(answer) for status, answer in operation["responses"].items()
            },
        }
    # A line for each operation: readable differences, and not seven thousand lines.
    lines = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(item, sort_keys=True)}"
        for name, item in sorted(contract["operations"].items())
    )
    version = json.dumps(contract["version"])
    text = f'{{"version": {version}, "operations": {{\n{lines}\n}}}}\n'
    TARGET.write_text(text, encoding="utf-8")
    return 0


def _schema(part: Any) -> Any:
    content = (part or {}).get("content", {})
    return _plain(content["application/json"]["schema"]) if "application/json" in content else None


def _plain(value: Any) -> Any:
    """Return an OpenAPI 3.0 schema as JSON Schema: `nullable` is a type there."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        if key == "properties":
            found[key] = {name: _plain(inner) for name, inner in item.items()}
        elif key not in _PROSE | {"nullable"}:
            found[key] = _plain(item)
    if value.get("nullable"):
        found = {"anyOf": [{"type": "null"}, found]}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
