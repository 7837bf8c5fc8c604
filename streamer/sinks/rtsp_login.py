"""Answers an RTSP server that wants to know who publishes: Basic (RFC 7617) and Digest (RFC 7616) authentication."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')
# Strongest first; MD5 is what cameras and media servers speak.
_HASHES = {"SHA-256": "sha256", "MD5": "md5"}


@dataclass(frozen=True, slots=True)
class Login:
    """Who publishes."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def of_url(cls, url: str) -> Login | None:
        """Return who a URL says; None: nobody."""
        parts = urlsplit(url)
        return None if parts.username is None else cls(unquote(parts.username), unquote(parts.password or ""))

    def authorization(self, challenges: Sequence[str], method: str, uri: str) -> str | None:
        """Return the header for one request; None: none of the server's challenges is understood.

        Args:
            challenges: Its WWW-Authenticate headers.
            method: The request's method.
            uri: What is requested.
        """
        digests = [challenge for challenge in challenges if challenge.lower().startswith("digest")]
        for algorithm in _HASHES:
            for challenge in digests:
                fields = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(challenge)}
                if fields.get("algorithm", "MD5").upper() == algorithm and "nonce" in fields:
                    return self._digest(fields, algorithm, method, uri)
        if any(challenge.lower().startswith("basic") for challenge in challenges):
            return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return None

    def _digest(self, fields: dict[str, str], algorithm: str, method: str, uri: str) -> str:
        def hashed(text: str) -> str:
            return hashlib.new(_HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

        realm, nonce = fields.get("realm", ""), fields["nonce"]
        who, what = hashed(f"{self.user}:{realm}:{self.password}"), hashed(f"{method}:{uri}")
        answer = {"username": self.user, "realm": realm, "nonce": nonce, "uri": uri}
        bare = {}
        if "auth" in [one.strip() for one in fields.get("qop", "").split(",")]:
            count, ours = "00000001", secrets.token_hex(8)
            answer |= {"response": hashed(f"{who}:{nonce}:{count}:{ours}:auth:{what}"), "cnonce": ours}
            bare = {"qop": "auth", "nc": count}
        else:
            answer["response"] = hashed(f"{who}:{nonce}:{what}")
        if "opaque" in fields:
            answer["opaque"] = fields["opaque"]
        if "algorithm" in fields:
            bare["algorithm"] = fields["algorithm"]
        quoted = [f'{name}="{value}"' for name, value in answer.items()]
        return "Digest " + ", ".join([*quoted, *(f"{name}={value}" for name, value in bare.items())])
