"""`python -m local.pulumi.provider ENGINE_ADDRESS`: the plugin process."""

from __future__ import annotations

import sys

from local.pulumi.plugin import serve
from local.pulumi.provider.server import KubernetesProvider
from pulumi.runtime.proto import provider_pb2_grpc


def main() -> None:
    # The engine passes its address last; without one (attached for debugging) it comes with Attach.
    address = sys.argv[-1] if len(sys.argv) > 1 else "127.0.0.1:0"
    serve(
        lambda server: provider_pb2_grpc.add_ResourceProviderServicer_to_server(
            KubernetesProvider(address), server
        )
    )


main()
