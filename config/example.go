package config

import (
	"embed"
	"io/fs"
)

//go:embed examples/*.yaml
var examples embed.FS

// Examples returns the example configurations: minimal.yaml, bridge.yaml,
// complete.yaml, and for devices room.yaml, modbus.yaml, greenhouse.yaml,
// tank.yaml, gps.yaml and kernel.yaml. Tests load each, and run those for
// devices on models.
func Examples() fs.FS {
	sub, err := fs.Sub(examples, "examples")
	if err != nil { // cannot be: the directory is embedded
		panic(err)
	}
	return sub
}
