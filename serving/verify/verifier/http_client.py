"""How gateway and Prometheus are asked."""

from __future__ import annotations

import http.client
import urllib.request


class _KeepErrorReplies(urllib.request.HTTPErrorProcessor):
    """Hands over error answers as answers; what they mean is for the checks to say."""

    def http_response(
        self, request: urllib.request.Request, response: http.client.HTTPResponse
    ) -> http.client.HTTPResponse:
        return response


# No proxy: both are in the cluster, whatever the environment says.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _KeepErrorReplies)
