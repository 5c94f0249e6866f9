// Command dunlin is the MQTT gateway and its tools in one binary.
//
// main.go starts, commands.go holds the table of commands, and each command
// has its file. wire.go is the only place where configuration, broker,
// sensors and bridges meet. The MQTT client of sub and pub is
// internal/client; what they print with -F is internal/format.
//
// A command takes a context, its arguments and its streams, and returns an
// exit code; it never calls os.Exit and never reads the process's streams by
// itself.
package main
