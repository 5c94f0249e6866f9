package freeport

import (
	"net"
	"testing"
)

func TestPort(t *testing.T) {
	first := Port(t)
	if first < lowest || first >= lowest+count {
		t.Errorf("port %d", first)
	}
	l, err := net.Listen("tcp", address((first-lowest+1)%count+lowest)) // the next one is taken
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	second := Address(t)
	if second == address(first) || second == l.Addr().String() {
		t.Errorf("%s after %d, and %s is taken", second, first, l.Addr())
	}
	if l, err = net.Listen("tcp", second); err != nil {
		t.Fatal(err)
	}
	l.Close()
}
