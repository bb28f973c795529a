#!/usr/bin/env bash
# Karpenter 1.14.1, KWOK provider: each offering in the file of INSTANCE_TYPES_FILE_PATH has a field Available, and the
# provider sets it to true when it reads the file. The guess was that an offering with false is sold out. To imitate
# that, leave the offering out.
# Seen: the spot offering of g-1, written with false, is available. Needs Go.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	kwok "sigs.k8s.io/karpenter/kwok/cloudprovider"
	kwokoptions "sigs.k8s.io/karpenter/kwok/options"
)

type object = map[string]any

func offering(capacity string, available bool) object {
	requirement := func(key, value string) object {
		return object{"key": key, "operator": "In", "values": []string{value}}
	}
	return object{"Price": 1.0, "Available": available, "Requirements": []object{
		requirement("karpenter.sh/capacity-type", capacity), requirement("topology.kubernetes.io/zone", "a"),
	}}
}

func instanceType(name string, offerings ...object) object {
	return object{"name": name, "architecture": "amd64", "operatingSystems": []string{"linux"},
		"resources": object{"cpu": "4", "memory": "16Gi"}, "offerings": offerings}
}

func main() {
	catalogue, _ := json.Marshal([]object{
		instanceType("g-1", offering("on-demand", true), offering("spot", false)),
		instanceType("g-2", offering("on-demand", true)),
	})
	if err := os.WriteFile("types.json", catalogue, 0o600); err != nil {
		panic(err)
	}
	ctx := kwokoptions.ToContext(context.Background(), &kwokoptions.Options{InstanceTypesFilePath: "types.json"})
	types, err := kwok.ConstructInstanceTypes(ctx)
	if err != nil {
		panic(err)
	}
	for _, found := range types {
		for _, offer := range found.Offerings {
			fmt.Println(found.Name, offer.CapacityType(), offer.Available)
		}
	}
}
GO
cat >go.mod <<'MOD'
module finding

go 1.26.0

require sigs.k8s.io/karpenter v1.14.1
MOD
go mod tidy >tidy.log 2>&1 || { cat tidy.log; exit 1; }
grep -q "sigs.k8s.io/karpenter v1.14.1$" go.mod
go run . | tee seen.txt
diff seen.txt - <<'SEEN'
g-1 on-demand true
g-1 spot true
g-2 on-demand true
SEEN
