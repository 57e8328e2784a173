"""Tell Kubeflow's Model Registry about a version: model -> version -> artifact with its URI.

Servers speak `/api/model_registry/v1` or the older `v1alpha3`; the first call finds out. Nothing is
made twice: a run that died half-way is completed by the next one. Environment variables:

    MODEL_REGISTRY_ADDRESS      http(s)://host:port, with a path if a gateway serves it below one;
                                without it there is no such registry
    MODEL_REGISTRY_TOKEN_FILE   file with a bearer token, such as a projected service account token
    SSL_CERT_FILE               the CA of an https server that the usual certificates do not cover
    OMNIDET_RUN_ID, OMNIDET_RUN_NAME, OMNIDET_RUN_NAMESPACE
                                the pipeline run that the version came from

Why this is not the package `model-registry`: `docs/decisions/0011-libraries.md`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry, Timeout

from omnidet.http import RETRY_STATUSES, brief, connections

APIS = ("v1", "v1alpha3")
CONNECT_SECONDS = 4.0
READ_SECONDS = 30.0
TRIES = 4
WAIT_SECONDS = 1.0
"""Before the third try; doubles after each. The second try comes at once."""
MODEL_FORMAT = "omnidet"

_SHOWN_CHARACTERS = 200
_OWN_PATH = re.compile(r"/api/model_registry(/[^/]*)?/?$")
"""What `Server` adds to the address; some people write it into the address."""

Value = str | int | float | bool
Object = dict[str, Any]


@dataclass(frozen=True)
class Registered:
    """Ids in the registry; KServe's labels take the first two."""

    model_id: str
    version_id: str
    artifact_id: str


def address() -> str:
    """Where the registry is; empty if there is none."""
    return os.environ.get("MODEL_REGISTRY_ADDRESS", "").strip()


def connect() -> Server:
    """The server at `MODEL_REGISTRY_ADDRESS`, once it has answered.

    Raises ValueError for a wrong setting; ConnectionError, PermissionError or another OSError, each
    in one line, if the server cannot be used.
    """
    given = address()
    parts = urlsplit(given)
    if "@" in parts.netloc:
        raise ValueError(
            "MODEL_REGISTRY_ADDRESS holds a user or password: "
            "give a token in MODEL_REGISTRY_TOKEN_FILE"
        )
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"MODEL_REGISTRY_ADDRESS={given!r} is not of the form "
            "http(s)://host:port or http(s)://host/path"
        )
    path = _OWN_PATH.sub("", parts.path).rstrip("/")
    return Server(f"{parts.scheme}://{parts.netloc}{path}", _token())


def run_source() -> dict[str, str]:
    """The pipeline run of this process, in the fields that Kubeflow's components use.

    Empty outside of a run.
    """
    run_id = os.environ.get("OMNIDET_RUN_ID", "")
    if not run_id:
        return {}
    return {
        "modelSourceKind": "kfp",
        "modelSourceClass": "pipelinerun",
        "modelSourceGroup": os.environ.get("OMNIDET_RUN_NAMESPACE", ""),
        "modelSourceId": run_id,
        "modelSourceName": os.environ.get("OMNIDET_RUN_NAME", ""),
    }


class Server:
    """A registry that answers.

    Attributes:
        api: the version of the API that it speaks.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._http = connections(url)
        for api in APIS:
            self.api = api
            if self._call("GET", "registered_models", {"pageSize": "1"}) is not None:
                return
        raise OSError(
            f"{url} is not a Kubeflow Model Registry (it has neither {' nor '.join(APIS)}): "
            "correct MODEL_REGISTRY_ADDRESS"
        )

    def register(
        self,
        name: str,
        version: str,
        uri: str,
        metadata: Mapping[str, Value],
        source: Mapping[str, str] | None = None,
    ) -> Registered:
        """Make the model, its version and the artifact with the URI, unless they exist.

        Args:
            metadata: properties of the version.
            source: provenance of the artifact, as `run_source` gives it.

        Raises ValueError if the version exists with another URI.
        """
        model = self._find_or_make("registered_model", {"name": name}, {"name": name})
        own = {
            "name": version,
            "registeredModelId": model["id"],
            "state": "LIVE",
            "customProperties": _properties(metadata),
        }
        query = {"name": version, "parentResourceId": model["id"]}
        made = self._find_or_make("model_version", query, own)
        path = f"model_versions/{quote(made['id'], safe='')}/artifacts"
        artifacts = (self._call("GET", path, {"pageSize": "100"}) or {}).get("items") or []
        kind = "model-artifact"
        models = [a for a in artifacts if a.get("artifactType", kind) == kind]
        if not models:
            content = {
                "artifactType": kind,
                "name": name,
                "uri": uri,
                "modelFormatName": MODEL_FORMAT,
            }
            models = [self._made("POST", path, content | dict(source or {}))]
        elif all(artifact.get("uri") != uri for artifact in models):
            raise ValueError(
                f"version {version} of {name!r} at {self._url} is {models[0].get('uri')}, "
                f"not {uri}: set register.name to a name that no other registry uses"
            )
        artifact = next(a for a in models if a.get("uri", uri) == uri)
        return Registered(model["id"], made["id"], artifact["id"])

    def _find_or_make(self, kind: str, query: Mapping[str, str], content: Object) -> Object:
        found = self._call("GET", kind, query)
        if found is None:
            found = self._call("POST", f"{kind}s", content=content, conflict_is_none=True)
        if found is None:  # someone else made it, or the response to our first try was lost
            found = self._call("GET", kind, query)
        return self._with_id(found, kind)

    def _made(self, method: str, path: str, content: Object) -> Object:
        return self._with_id(self._call(method, path, content=content), path)

    def _with_id(self, found: Object | None, path: str) -> Object:
        if found is None or not isinstance(found.get("id"), str):
            raise OSError(f"the Model Registry at {self._url} gave no id for {path}: see its log")
        return found

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        content: Object | None = None,
        *,
        conflict_is_none: bool = False,
    ) -> Object | None:
        """The response's JSON; None for a 404 to GET, and for a 409 if `conflict_is_none`."""
        response = self._request(method, path, query, content)
        if response.status == 404 and method == "GET":
            return None
        if response.status == 409 and conflict_is_none:
            return None
        if response.status in (401, 403):
            raise PermissionError(
                f"the Model Registry at {self._url} refuses access ({response.status}): "
                "see the token in MODEL_REGISTRY_TOKEN_FILE"
            )
        try:
            decoded = json.loads(response.data)
        except ValueError:
            decoded = None
        if response.status not in (200, 201):
            message = decoded.get("message", "") if isinstance(decoded, dict) else ""
            raise OSError(
                f"the Model Registry at {self._url} answers {response.status} to {method} {path}: "
                f"{' '.join(str(message).split())[:_SHOWN_CHARACTERS] or 'see its log'}"
            )
        if not isinstance(decoded, dict):
            raise OSError(
                f"{self._url} answers, but not like a Model Registry: "
                "correct MODEL_REGISTRY_ADDRESS"
            )
        return decoded

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None, content: Object | None
    ) -> BaseHTTPResponse:
        retries = Retry(
            TRIES - 1,
            # POST too: if the lost response was a success, the second try gets a 409.
            allowed_methods=None,
            status_forcelist=RETRY_STATUSES,
            backoff_factor=WAIT_SECONDS / 2,
            redirect=False,
            raise_on_status=False,
            respect_retry_after_header=False,  # a server may ask for hours
        )
        timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        body = {"fields": query} if content is None else {"json": content}
        url = f"{self._url}/api/model_registry/{self.api}/{path}"
        try:
            return self._http.request(
                method, url, headers=self._headers, retries=retries, timeout=timeout, **body
            )
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
            raise ConnectionError(
                f"no Model Registry answers at {self._url} ({brief(cause)}): "
                "start it, or correct MODEL_REGISTRY_ADDRESS"
            ) from error


def _token() -> str:
    path = os.environ.get("MODEL_REGISTRY_TOKEN_FILE", "")
    if not path:
        return ""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"MODEL_REGISTRY_TOKEN_FILE={path!r} does not exist: correct it or unset it"
        )
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token or not token.isascii() or any(c.isspace() for c in token):
        raise ValueError(
            f"MODEL_REGISTRY_TOKEN_FILE={path!r} does not hold one token: write nothing else"
        )
    return token


def _properties(metadata: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """Custom properties as the API wants them: each with its type, 64-bit integers as text."""
    properties: dict[str, dict[str, Any]] = {}
    for key, value in metadata.items():
        if isinstance(value, bool):
            properties[key] = {"metadataType": "MetadataBoolValue", "bool_value": value}
        elif isinstance(value, int):
            properties[key] = {"metadataType": "MetadataIntValue", "int_value": str(value)}
        elif isinstance(value, float) and math.isfinite(value):
            properties[key] = {"metadataType": "MetadataDoubleValue", "double_value": value}
        else:
            properties[key] = {"metadataType": "MetadataStringValue", "string_value": str(value)}
    return properties
