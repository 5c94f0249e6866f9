package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryThereIs(t *testing.T) {
	const meminfo = "MemTotal:         512000 kB\nMemFree: 1 kB\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no system that says": {nil, 0},
		"half of the machine": {map[string]string{"proc/meminfo": meminfo}, 512000 << 10 / 2},
		"a control group without a limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}, 512000 << 10 / 2},
		"the least limit on the way up": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "1:cpu:/x\n0::/a/b\n",
			"sys/fs/cgroup/a/memory.max": "58720256\n", "sys/fs/cgroup/a/b/memory.max": "104857600\n",
		}, 58720256 / 10 * 7},
		"a file that lies": {map[string]string{"proc/meminfo": "MemTotal: lots\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				p := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := memoryThereIs(root); got != tc.want {
				t.Errorf("memoryThereIs = %d, want %d", got, tc.want)
			}
		})
	}
}
