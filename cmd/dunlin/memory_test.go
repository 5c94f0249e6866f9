package main

import (
	"math"
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
		"version 2 in a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "104857600\n",
		}, 104857600 / 10 * 7},
		"a mark where it gets slow": {map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "58720256\n", "sys/fs/cgroup/a/memory.high": "50331648\n",
		}, 50331648 / 10 * 8},
		"version 1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:cpu,memory:/a/b\n1:name=systemd:/x\n0::/\n",
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "58720256\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "104857600\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n",
		}, 58720256 / 10 * 7},
		"version 1 in a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "58720256\n",
		}, 58720256 / 10 * 7},
		"version 1 without a limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 512000 << 10 / 2},
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

func TestClientsShare(t *testing.T) {
	for limit, want := range map[int64]int64{40 << 20: 16 << 20, 0: 64 << 20, math.MaxInt64: 64 << 20, 1 << 20: 1 << 20} {
		if got := clientsShare(limit); got != want {
			t.Errorf("of %d bytes clients may have %d, want %d", limit, got, want)
		}
	}
}
