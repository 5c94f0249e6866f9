// Package sparkplugpb is what protoc makes of the layout of Sparkplug B
// payloads, for comparison with dunlin's own encoding; the build tag oracle
// keeps it out of other builds.
//
//	protoc --go_out=. --go_opt=paths=source_relative sparkplug_b.proto
package sparkplugpb
