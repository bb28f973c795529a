# ruff: noqa: N802  the methods are named by the protocol
"""Policy pack of one mandatory policy: `a` in a ConfigMap must not be 1."""

from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2 as a
from pulumi.runtime.proto import analyzer_pb2_grpc, plugin_pb2


class Pack(analyzer_pb2_grpc.AnalyzerServicer):
    def Handshake(self, request, context):
        return a.AnalyzerHandshakeResponse()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version="1.0.0")

    def GetAnalyzerInfo(self, request, context):
        policy = a.PolicyInfo(name="no-one", enforcementLevel=a.MANDATORY)
        return a.AnalyzerInfo(name="pack", version="1.0.0", policies=[policy], supportsConfig=True)

    def Configure(self, request, context):
        return empty_pb2.Empty()

    def ConfigureStack(self, request, context):
        return a.AnalyzerStackConfigureResponse()

    def Analyze(self, request, context):
        wrong = request.type.endswith(":ConfigMap") and request.properties["data"]["a"] == "1"
        found = a.AnalyzeDiagnostic(
            policyName="no-one",
            policyPackName="pack",
            policyPackVersion="1.0.0",
            message="a must not be 1",
            enforcementLevel=a.MANDATORY,
            urn=request.urn,
        )
        return a.AnalyzeResponse(diagnostics=[found] if wrong else [])

    def AnalyzeStack(self, request, context):
        return a.AnalyzeResponse()

    def Remediate(self, request, context):
        return a.RemediateResponse()


server = grpc.server(ThreadPoolExecutor(4))
analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Pack(), server)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
