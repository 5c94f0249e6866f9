// Package sparkplugtest is a Sparkplug Host Application for tests: it follows
// one Edge Node by its messages alone, as a host does, and says what of them
// the specification forbids. It knows nothing of package sparkplug.
package sparkplugtest
