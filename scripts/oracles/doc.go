// Package oracles compares dunlin's chip drivers with other people's on
// healthy chip models, and reads Sparkplug with what protoc generated: a module of its own, so that what it needs is no
// dependency of dunlin.
package oracles
