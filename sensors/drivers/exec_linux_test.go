package drivers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// newProgram runs a shell script.
func newProgram(t *testing.T, script string, set func(*execOptions)) *talker {
	t.Helper()
	k := &talker{}
	k.d = mustBuild(t, "exec", func(o any) {
		o.(*execOptions).Command = []string{"/bin/sh", "-c", script}
		if set != nil {
			set(o.(*execOptions))
		}
	}, nil)
	k.open(t)
	t.Cleanup(func() { k.d.Close() })
	return k
}

func TestExec(t *testing.T) {
	t.Setenv("SECRET", "hunter2")
	k := newProgram(t, `echo starting >&2; echo '{"n":1,"secret":"'$SECRET'"}'; while read line; do echo "{\"valve\":${line#V}}"; done; echo no more input >&2`, func(o *execOptions) {
		o.Commands = map[string]lineCommand{"valve": {Send: "V{{1|0}}\n", Expect: lineExpect{Path: "valve", Within: patience}}}
	})
	k.expect(t, map[string]any{"n": int64(1), "secret": ""})
	if list, err := k.command("valve", "ON"); err != nil || values(list)["valve"] == nil {
		t.Errorf("valve ON: %v, %v", list, err)
	}
}

func TestExecKeyValue(t *testing.T) {
	k := newProgram(t, `echo "wind=3.5 dir=270"; exec sleep 1000`, func(o *execOptions) { o.Format = "key_value" })
	k.expect(t, map[string]any{"wind": 3.5, "dir": int64(270)})
}

func TestExecEnds(t *testing.T) {
	k := newProgram(t, `echo '{"n":1}'; echo first >&2; echo no such sensor >&2; exit 3`, nil)
	k.expect(t, map[string]any{"n": int64(1)})
	if _, err := k.read(t); sensors.ReasonOf(err) != sensors.Exited || !strings.Contains(err.Error(), "no such sensor") {
		t.Errorf("%v, want exited with what it said", err)
	}
	k.d.Close()
	k.open(t) // as the manager does
	k.expect(t, map[string]any{"n": int64(1)})
	if err := mustBuild(t, "exec", func(o any) { o.(*execOptions).Command = []string{"/no/such/program"} }, nil).
		Open(t.Context(), nil); sensors.ReasonOf(err) != sensors.NotFound {
		t.Errorf("a program that is not there: %v", err)
	}
}

// How a program ended is part of the reason.
func TestExecSaysHowItEnded(t *testing.T) {
	for script, want := range map[string]string{
		"exit 3":                              "exit code 3",
		"exit 0":                              "exit code 0",
		"kill -9 $$":                          "killed by signal 9",
		"echo bad >&2; kill -SEGV $$":         "killed by signal 11, and said: bad",
		"exec >/dev/null; sleep 0.02; exit 4": "exit code 4",
		"exec >&-; exec sleep 1000":           "runs on, but has closed its input or output",
	} {
		if _, err := newProgram(t, script, nil).read(t); sensors.ReasonOf(err) != sensors.Exited || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
}

// Whatever a program started ends with it, also what does not listen.
func TestExecGroupIsKilled(t *testing.T) {
	files := openFiles(t)
	k := newProgram(t, `trap '' TERM; sleep 1000 & echo "{\"self\":$$,\"child\":$!}"; while :; do sleep 1000; done`, nil)
	list, err := k.read(t)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := k.d.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took < killAfter/2 || took > patience {
		t.Errorf("closed after %v; the script ignores SIGTERM", took)
	}
	for _, name := range []string{"self", "child"} {
		pid := int(values(list)[name].(int64))
		for deadline := time.Now().Add(patience); alive(pid) && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if alive(pid) {
			t.Errorf("%s, process %d, is still there", name, pid)
		}
	}
	if now := openFiles(t); now != files {
		t.Errorf("%d open files, %d before", now, files)
	}
}

// The first process of a container inherits whom others leave behind.
func TestExecLeavesNoZombies(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	k := newProgram(t, `sleep 1000 & echo "{\"child\":$!}"; exit`, nil)
	list, err := k.read(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.d.Close(); err != nil {
		t.Error(err)
	}
	pid := values(list)["child"].(int64)
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		t.Errorf("it is left: %s", stat)
	}
}

// alive reports whether a process runs; one that nobody has waited for yet
// does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z") && syscall.Kill(pid, 0) == nil
}

// A program that prints without end or sense is read within the bounds.
func TestExecOutputIsBounded(t *testing.T) {
	k := newProgram(t, `head -c 20000 /dev/zero | tr '\0' x; echo; head -c 30000 /dev/zero >&2; echo '{"n":1}'; exec sleep 1000`, func(o *execOptions) { o.MaxLength = 100 })
	k.expect(t, map[string]any{"n": int64(1), "rejected_lines": int64(1)})
}

// A program that prints without end has a bounded part of the gateway's time.
func TestExecFloodWaits(t *testing.T) {
	k := newProgram(t, `exec yes '{"n":1234567}'`, nil) // 14 bytes a line
	const most = 2 * outputRate / 14
	n, start := 0, time.Now()
	for ; n <= most; n++ {
		k.expect(t, map[string]any{"n": int64(1234567)})
	}
	if took := time.Since(start); took < 900*time.Millisecond {
		t.Errorf("%d lines in %v", n, took)
	}
}

// Complaints without end wait too.
func TestExecComplaintsWait(t *testing.T) {
	k := newProgram(t, `head -c 33000 /dev/zero >&2; exit 3`, nil) // the pipe holds a page
	start := time.Now()
	if _, err := k.read(t); !strings.Contains(fmt.Sprint(err), "exit code 3") {
		t.Error(err)
	}
	if took := time.Since(start); took < 600*time.Millisecond {
		t.Errorf("33,000 bytes in %v", took)
	}
}

// A gateway that is killed leaves no program behind, though it neither reads
// nor writes.
func TestExecEndsWithTheGateway(t *testing.T) {
	if os.Getenv("DUNLIN_TEST_GATEWAY") != "" {
		k := newProgram(t, `echo "{\"pid\":$$}"; exec sleep 1000`, nil)
		list, err := k.read(t)
		fmt.Println("child", values(list)["pid"], err)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	self := exec.Command(os.Args[0], "-test.run=^TestExecEndsWithTheGateway$")
	self.Env = append(os.Environ(), "DUNLIN_TEST_GATEWAY=1")
	out, _ := self.Output() // it is killed
	var pid int
	if _, err := fmt.Sscanf(string(out), "child %d", &pid); err != nil || pid < 2 {
		t.Fatalf("%q: %v", out, err)
	}
	for deadline := time.Now().Add(patience); alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// A program that has ended is named although its child holds the output open.
func TestExecEndsBeforeItsChild(t *testing.T) {
	k := newProgram(t, `echo '{"n":1}'; sleep 1000 & exit 0`, nil)
	k.expect(t, map[string]any{"n": int64(1)})
	p := k.d.(sensors.Pusher)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		switch got := sensors.ReasonOf(p.OnSilence()); {
		case got == sensors.Exited:
			return
		case time.Now().After(deadline):
			t.Fatalf("%q, want exited", got)
		}
	}
}

// Commands to a program that reads nothing time out.
func TestExecStuckWriter(t *testing.T) {
	k := newProgram(t, "exec sleep 1000", func(o *execOptions) {
		o.Commands = map[string]lineCommand{"say": {Send: strings.Repeat("x", 300000)}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := k.d.(sensors.Commander).Do(ctx, "say", nil); sensors.ReasonOf(err) != sensors.Timeout {
		t.Errorf("%v, want timeout", err)
	}
}

func TestExecOptions(t *testing.T) {
	for want, set := range map[string]func(*execOptions){
		"command: the whole path": func(o *execOptions) { o.Command = []string{"sh"} },
		"format: ":                func(o *execOptions) { o.Format = "xml" },
		"max_length: ":            func(o *execOptions) { o.MaxLength = 0 },
		"commands.v: send":        func(o *execOptions) { o.Commands = map[string]lineCommand{"v": {}} },
	} {
		_, err := build(t, "exec", func(o any) {
			o.(*execOptions).Command = []string{"/bin/true"}
			set(o.(*execOptions))
		}, nil)
		if !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("New = %v, want %q", err, want)
		}
	}
}
