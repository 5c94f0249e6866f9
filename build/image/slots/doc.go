// Package slots knows a card: where its partitions are, which slot the
// firmware starts, and how the idle one is written. It says nothing of what
// an update file looks like (package update) and mounts nothing.
package slots
