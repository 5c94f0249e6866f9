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
	next := address((first-lowest+1)%count + lowest)
	l, err := net.Listen("tcp", next)
	if err == nil {
		defer l.Close()
	} // else somebody else has it, which is as good
	second := Address(t)
	if second == address(first) || second == next {
		t.Errorf("%s after %d, and %s is taken", second, first, next)
	}
	if l, err = net.Listen("tcp", second); err != nil {
		t.Fatal(err)
	}
	l.Close()
}
