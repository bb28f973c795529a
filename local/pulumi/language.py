# ruff: noqa: N802  the methods are named by the protocol
"""Stand-in for Pulumi's Python language host: runs programs and policy packs.

The SDK brings a language server for programs that are functions (the Automation API); here the function is
the project's entry point. Where Pulumi.yaml names a virtual environment that is not this interpreter's, the
same server is started with that environment's Python and answers instead.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import IO, Any, Final

import grpc

import pulumi
from local.pulumi.environment import EnvironmentFailure, install, python_of
from local.pulumi.plugin import serve
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

_STAND_IN: Final = (
    "A local stand-in for Pulumi's Python language host is in use: none is installed beside the CLI."
)


def entry_point(directory: str, entry: str) -> str:
    """The path to run: the entry point inside the program's directory, or the directory with its
    __main__.py."""
    return str(Path(directory, entry)) if entry not in ("", ".") else directory


def _traceback_of_program(error: BaseException) -> str:
    """The traceback without the frames of this host and of runpy."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename not in (__file__, runpy.__file__, "<frozen runpy>")]
    return "".join([*traceback.format_list(own), *traceback.format_exception_only(error)])


def required_plugins() -> Iterator[plugin_pb2.PackageDependency]:
    """Resource plugins of the installed SDK packages, as far as they are in PULUMI_HOME.

    The engine downloads what it is told before it runs anything. An SDK for a cloud that this stack does not
    use must not cost a download, and where there is no network must not fail it; a plugin that a program does
    use is asked for then.
    """
    installed = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")) / "plugins"
    for distribution in importlib.metadata.distributions():
        if not (distribution.name or "").lower().startswith("pulumi"):
            continue
        for file in distribution.files or []:
            if file.name == "pulumi-plugin.json":
                described = json.loads(file.read_text())
                # pulumi-policy carries such a file too, and says in it that it has no plugin.
                if not described.get("resource", False):
                    continue
                name, version = described["name"], described["version"]
                if (installed / f"resource-{name}-v{version}").is_dir():
                    yield plugin_pb2.PackageDependency(name=name, kind="resource", version=f"v{version}")


class PythonLanguageHost(LanguageServer):
    def __init__(self) -> None:
        super().__init__(lambda: None)

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        try:
            for text in install(request.info):
                yield language_pb2.InstallDependenciesResponse(stdout=text.encode())
        except EnvironmentFailure as failure:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(failure))

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        other = _other_python(request, context)
        if other is not None:
            with _host_of(other) as host:
                return host.GetRequiredPackages(request)
        return language_pb2.GetRequiredPackagesResponse(packages=required_plugins())

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        other = _other_python(request, context)
        if other is not None:
            with _host_of(other) as host:
                return host.GetProgramDependencies(request)
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=distribution.name, version=distribution.version)
                for distribution in importlib.metadata.distributions()
                if distribution.name
            ]
        )

    def Run(self, request: Any, context: Any) -> Any:
        other = _other_python(request, context)
        if other is not None:
            with _host_of(other) as host:
                return host.Run(request)
        path = entry_point(request.info.program_directory, request.info.entry_point)

        def program() -> None:
            pulumi.log.info(_STAND_IN)
            try:
                runpy.run_path(path, run_name="__main__")
            except pulumi.RunError:
                raise
            except Exception as error:
                raise pulumi.RunError(
                    f"Program failed with an unhandled exception:\n{_traceback_of_program(error)}"
                ) from error

        os.chdir(request.pwd)
        sys.path[0:0] = [path if Path(path).is_dir() else str(Path(path).parent)]
        self.program = program
        response = super().Run(request, context)
        if response.error:
            # The SDK's server has logged the message; bail stops the engine from showing it once more.
            return language_pb2.RunResponse(bail=True)
        return response

    def RunPlugin(self, request: Any, context: Any) -> Iterator[Any]:
        """Runs a policy pack, and passes its output on as it comes: the first line is its port."""
        if request.kind != "analyzer":
            context.abort(
                grpc.StatusCode.UNIMPLEMENTED,
                f"the local stand-in for the Python language host runs no {request.kind} plugins",
            )
        python = str(_other_python(request, context) or sys.executable)
        command = [python, "-u", "-m", "pulumi.policy", *request.args, request.info.program_directory]
        process = subprocess.Popen(
            command,
            cwd=request.pwd,
            env={**os.environ, **dict(entry.split("=", 1) for entry in request.env)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        context.add_callback(process.kill)
        yield from _output_of(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())


def _other_python(request: Any, context: Any) -> Path | None:
    """The interpreter that the project asks for; None if it is this one. Ends the call if there is none."""
    try:
        return python_of(request.info)
    except EnvironmentFailure as failure:
        return context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(failure))


@contextmanager
def _host_of(python: Path) -> Iterator[language_pb2_grpc.LanguageRuntimeStub]:
    """This server, run by another interpreter; it ends with the block."""
    process = subprocess.Popen(
        [str(python), "-P", "-m", "local.pulumi.language"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    output = process.stdout
    try:
        port = int(output.readline())
        # What the program prints is shown by the engine, as if it had been printed here.
        printed = threading.Thread(target=lambda: shutil.copyfileobj(output, sys.stdout.buffer), daemon=True)
        printed.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield language_pb2_grpc.LanguageRuntimeStub(channel)
    finally:
        process.terminate()
        process.wait()
    printed.join()
    output.close()
    sys.stdout.flush()


def _output_of(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    messages: Queue[language_pb2.RunPluginResponse | None] = Queue()

    def forward(stream: IO[bytes] | None, wrap: Callable[[bytes], language_pb2.RunPluginResponse]) -> None:
        while stream is not None and (chunk := os.read(stream.fileno(), 65536)):
            messages.put(wrap(chunk))
        messages.put(None)

    streams = (
        (process.stdout, lambda chunk: language_pb2.RunPluginResponse(stdout=chunk)),
        (process.stderr, lambda chunk: language_pb2.RunPluginResponse(stderr=chunk)),
    )
    for stream, wrap in streams:
        threading.Thread(target=forward, args=(stream, wrap), daemon=True).start()
    for _ in streams:
        while (message := messages.get()) is not None:
            yield message


def main() -> None:
    serve(
        lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(PythonLanguageHost(), server)
    )


if __name__ == "__main__":
    main()
