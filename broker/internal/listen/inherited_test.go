package listen

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func fileOf(t *testing.T, v any) *os.File {
	t.Helper()
	f, err := v.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestInherit(t *testing.T) {
	if os.Getenv("ACTIVATED") == "1" {
		printInherited()
		return
	}
	one, two, unix := bind(t, "127.0.0.1:0"), bind(t, "127.0.0.1:0"), bind(t, "unix:"+filepath.Join(t.TempDir(), "s"))
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	files := []*os.File{fileOf(t, one), fileOf(t, unix), fileOf(t, two), fileOf(t, udp)}
	for _, tc := range []struct {
		name string
		env  []string
		want []string
	}{
		{"by name, several of one name", []string{"LISTEN_FDS=4", "LISTEN_FDNAMES=mqtt:ws:mqtt:udp"}, []string{
			"mqtt: " + one.Addr().String() + " " + two.Addr().String(),
			"ws: " + unix.Addr().String(),
			`udp: socket "udp" of systemd is not a listening stream socket`,
			`mqtt: systemd passed no socket named "mqtt" (it passed none)`,
			"environment:\n",
		}},
		{"names that nobody gave", []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=mqtt"}, []string{
			"mqtt: " + one.Addr().String(), `ws: systemd passed no socket named "ws" (it passed unknown)`,
		}},
		{"for another process", []string{"LISTEN_FDS=4", "LISTEN_FDNAMES=mqtt", "FORCED_PID=1"}, []string{`mqtt: systemd passed no socket named "mqtt" (it passed none)`, "environment:\n"}},
		{"a number that is none", []string{"LISTEN_FDS=many"}, []string{`inherit: LISTEN_FDS="many" is not a number of sockets`}},
		{"nothing", nil, []string{`mqtt: systemd passed no socket named "mqtt" (it passed none)`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// This binary again, as systemd would start it: sockets at descriptor 3
			// and up. The shell knows the process's number before it starts.
			cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=${FORCED_PID:-$$} exec "$0" -test.run='^TestInherit$'`, os.Args[0])
			cmd.Env = append(append(os.Environ(), "ACTIVATED=1"), tc.env...)
			cmd.ExtraFiles = files
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, line := range tc.want {
				if !strings.Contains(string(out), line) {
					t.Errorf("no %q in\n%s", line, out)
				}
			}
		})
	}
}

// printInherited takes sockets by name, "mqtt" twice, and says what is left in
// the environment, also for a child.
func printInherited() {
	in, err := Inherit()
	if err != nil {
		fmt.Println("inherit:", err)
		return
	}
	defer in.Close()
	for _, name := range []string{"mqtt", "ws", "udp", "mqtt"} {
		all, err := in.Take(name)
		if err != nil {
			fmt.Printf("%s: %v\n", name, err)
			continue
		}
		var addresses []string
		for _, ln := range all {
			addresses = append(addresses, ln.Addr().String())
			defer ln.Close()
		}
		fmt.Printf("%s: %s\n", name, strings.Join(addresses, " "))
	}
	out, err := exec.Command("/bin/sh", "-c", "echo environment: $LISTEN_PID$LISTEN_FDS$LISTEN_FDNAMES").Output()
	fmt.Printf("%s%v\n", out, err)
}
