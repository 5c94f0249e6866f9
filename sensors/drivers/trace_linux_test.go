package drivers

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// watched is a machine whose files and programs are watched.
type watched struct {
	*tree
	mu   sync.Mutex
	told []string
}

// Texts implements sensors.Tracing.
func (w *watched) Texts() sensors.Tracer {
	return func(where string, sent, received []byte, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.told = append(w.told, strings.TrimPrefix(where, w.root)+fmt.Sprintf(" >%q <%q %v", sent, received, sensors.ReasonOf(err)))
	}
}

// expect checks what was told since the last time, in any order.
func (w *watched) expect(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	left := strings.Join(w.told, "\n") + "\n"
	for _, line := range want {
		if !strings.Contains(left, line+"\n") {
			t.Errorf("not told %s, but\n%s", line, left)
		}
	}
	w.told = nil
}

func TestTraceOfFiles(t *testing.T) {
	const dir = "/sys/class/hwmon/hwmon0/"
	w := &watched{tree: newTree(t, map[string]string{dir + "name": "lm75", dir + "temp1_input": "23500"})}
	d := open(t, mustBuild(t, "hwmon", nil, nil), w)
	w.expect(t, dir+`name >"" <"lm75\n" `, dir+`label >"" <"" not_found`)
	shows(t, d)
	w.expect(t, dir+`temp1_input >"" <"23500\n" `)
	k := kernelOf(w)
	if err := k.write(dir+"temp1_max", "80000\n"); err == nil { // sysfs makes no file, nor does write
		t.Error("a file that is not there is written")
	}
	w.write(dir+"temp1_max", "0")
	if err := k.write(dir+"temp1_max", "80000\n"); err != nil {
		t.Error(err)
	}
	w.expect(t, dir+`temp1_max >"80000\n" <"" not_found`, dir+`temp1_max >"80000\n" <"" `)
}

func TestTraceOfAProgram(t *testing.T) {
	w := &watched{tree: newTree(t, nil)}
	k := &talker{d: mustBuild(t, "exec", func(o any) {
		e := o.(*execOptions)
		e.Command = []string{"/bin/sh", "-c", `echo hot >&2; echo '{"n":1}'; read line; echo '{"n":2}'`}
		e.Commands = map[string]lineCommand{"say": {Send: "hello\n"}}
	}, nil)}
	if err := k.d.Open(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	k.expect(t, map[string]any{"n": int64(1)})
	k.do(t, "say", "")
	k.expect(t, map[string]any{"n": int64(2)})
	if err := k.d.Close(); err != nil { // all that it said is told
		t.Error(err)
	}
	w.expect(t, fmt.Sprintf("exec >%q <\"\" ", "/bin/sh -c echo hot >&2; echo '{\"n\":1}'; read line; echo '{\"n\":2}'"),
		`stderr >"" <"hot\n" `, fmt.Sprintf(`stdout >"" <%q `, "{\"n\":1}\n"), `stdin >"hello\n" <"" `, fmt.Sprintf(`stdout >"" <%q `, "{\"n\":2}\n"))
}
