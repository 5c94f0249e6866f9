// Package listen accepts connections: it binds TCP and Unix sockets, hands
// each accepted connection to a function, and survives what accept can return.
//
// Errors of accept never end a listener; it backs off and tries again. Memory
// is a listener without sockets, for tests and for clients in the process.
//
// It knows no protocol. No locks of its own but Memory's.
package listen
