package broker_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
)

func TestWireScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/wire/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatal("no wire scripts", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { brokertest.RunScript(t, path) })
	}
}
