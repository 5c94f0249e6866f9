package freeport

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// The ports below the ephemeral ones that the well-known do not crowd.
const lowest, count = 20000, 12000

var given atomic.Int64

// Port is a port of the loopback address where nobody listens, and which
// nobody else in this process gets. Processes begin at different ones.
func Port(t testing.TB) int {
	t.Helper()
	for range count {
		port := lowest + (os.Getpid()*101+int(given.Add(1)))%count
		l, err := net.Listen("tcp", address(port))
		if err != nil {
			continue // somebody has it
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port")
	return 0
}

// Address is 127.0.0.1 with a free port.
func Address(t testing.TB) string {
	t.Helper()
	return address(Port(t))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
