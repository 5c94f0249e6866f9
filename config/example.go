package config

import (
	"embed"
	"io/fs"
)

//go:embed examples/*.yaml
var examples embed.FS

// Examples returns the example configurations: minimal.yaml, room.yaml,
// serial.yaml, modbus.yaml, bridge.yaml and complete.yaml. A test loads each.
func Examples() fs.FS {
	sub, err := fs.Sub(examples, "examples")
	if err != nil { // cannot be: the directory is embedded
		panic(err)
	}
	return sub
}
