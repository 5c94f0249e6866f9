// Package freeport finds ports for the servers of tests that stop and start
// again on the same one.
//
// The system hands out ephemeral ports (32768 and above on Linux) to listeners
// that ask for port 0 and to every connection that goes out. While a server
// that has one is down, a connection of any other test may get its port, and it
// cannot listen any more; a client that tries again and again may even be
// connected to itself. So these ports are below.
package freeport
