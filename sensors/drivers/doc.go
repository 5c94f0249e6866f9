// Package drivers holds the built-in device drivers, one idea a file: each
// registers itself in Table under the name that a device's `driver:` uses.
//
// A driver turns one device into readings and knows nothing of topics,
// filters, availability or retries: it fails with a *sensors.Fault and the
// manager does the rest. It reaches hardware through sensors.Buses only, so
// that every driver runs in a test against a chip model, a fake line or a tree
// of files. It starts no goroutine that outlives Close and logs nothing.
//
// Locks: the manager calls a driver from one goroutine at a time, but for
// Close: a serial device's open port is behind one (talking.slot), never held
// during a call of the port, and what pulses add up to behind another (meter.mu).
package drivers
