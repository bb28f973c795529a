#!/usr/bin/env bash
# Pulumi 3.259.0 edits a stack file in place and keeps the style of the value that it replaces. Over a quoted text,
# `pulumi config set --path KEY 2.5 --type float` therefore writes "2.5", which is text again: the type that was asked
# for is lost, and no error is shown. Over a plain value, or after `pulumi config rm --path KEY`, the same call writes
# a number. The guess was that --type decides. Shown with the package that the CLI's `config set` is made of.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
cat > go.mod <<'EOF'
module example.com/finding

go 1.26

require github.com/pulumi/pulumi/sdk/v3 v3.259.0
EOF
cat > main.go <<'EOF'
package main

import (
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func edit(before string, remove bool) string {
	check(os.WriteFile("Pulumi.dev.yaml", []byte(before), 0o600))
	sink := diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: "never"})
	project := &workspace.Project{Name: "demo", Runtime: workspace.NewProjectRuntimeInfo("python", nil)}
	load := func() *workspace.ProjectStack {
		stack, err := workspace.LoadProjectStack(sink, project, "Pulumi.dev.yaml")
		check(err)
		return stack
	}
	key := config.MustMakeKey("demo", "latency.seconds")
	if remove {
		stack := load()
		check(stack.Config.Remove(key, true))
		check(stack.Save("Pulumi.dev.yaml"))
	}
	stack := load()
	check(stack.Config.Set(key, config.NewTypedValue("2.5", config.TypeFloat), true))
	check(stack.Save("Pulumi.dev.yaml"))
	kept := load().Config[config.MustMakeKey("demo", "latency")]
	read, err := kept.Value(config.NopDecrypter)
	check(err)
	return read
}

func main() {
	for _, c := range []struct {
		before string
		remove bool
		want   string
	}{
		{"config:\n  demo:latency:\n    seconds: 1\n", false, `{"seconds":2.5}`},
		{"config:\n  demo:latency:\n    seconds: \"1.5\"\n", false, `{"seconds":"2.5"}`},
		{"config:\n  demo:latency:\n    seconds: '1.5'\n", false, `{"seconds":"2.5"}`},
		{"config:\n  demo:latency:\n    seconds: \"1.5\"\n", true, `{"seconds":2.5}`},
	} {
		got := edit(c.before, c.remove)
		fmt.Printf("pulumi sdk 3.259.0, float 2.5 over %q (removed first: %t): the program reads %s\n", c.before, c.remove, got)
		if got != c.want {
			panic("not " + c.want)
		}
	}
}
EOF
export GOFLAGS=-mod=mod
go mod tidy > tidy.log 2>&1 || { cat tidy.log; exit 1; }
go run .
