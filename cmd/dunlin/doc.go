// Command dunlin is the MQTT gateway and its tools in one binary.
//
// main.go starts, commands.go holds the table of commands, and each command
// has its file. wire.go is the only place where configuration, broker,
// sensors and bridges meet. The MQTT client of sub and pub is
// internal/client; what they print with -F is internal/format.
//
// What 'dunlin run' puts together:
//
//	clients <-> broker: listen -> conn -> session -> router -> session -> conn
//	                                        ^           |
//	devices <-> sensors, serial <-> Client -+           +-> store (on disk)
//	servers <-> bridge  <- Queue <----------------------+
//	                    -> Client, as sensors do
//	people  <-> internal/api, internal/page: they ask all of these
//
// Neither sensors nor bridge imports broker: each declares the few methods it
// needs, which broker.Client and broker.Queue happen to have, and sensors may
// use serial. config knows YAML and none of them. arch_test.go has who may
// import whom.
//
// A command takes a context, its arguments and its streams, and returns an
// exit code; it never calls os.Exit and never reads the process's streams by
// itself.
package main
