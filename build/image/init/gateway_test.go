package main

import (
	"os/exec"
	"testing"
)

func TestWhatIsACrash(t *testing.T) {
	for script, want := range map[string]bool{
		"exit 0": false, "exit 1": false, "exit 2": true, "exit 3": false, "kill -KILL $$": true, "kill -SEGV $$": true,
	} {
		if got := crashed(exec.Command("sh", "-c", script).Run()); got != want {
			t.Errorf("%s: %v", script, got)
		}
	}
	if crashed(exec.Command("/no/such/program").Run()) {
		t.Error("a program that is not there")
	}
}
