// Package unit holds the systemd unit of dunlin: the packages ship the file,
// and the program can install it.
package unit

import _ "embed"

// Service is dunlin.service as the Debian package installs it.
//
//go:embed dunlin.service
var Service string
