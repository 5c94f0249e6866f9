// Package oracles compares dunlin's chip drivers with other people's on
// healthy chip models: a module of its own, so that what it needs is no
// dependency of dunlin.
package oracles
