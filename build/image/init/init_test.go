package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// The test's own binary is init when it is asked to: it is never the first
// process here.
func TestRefusesToRunAsAnotherProcess(t *testing.T) {
	if os.Getenv("RUN_INIT") == "1" {
		main()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestRefusesToRunAsAnotherProcess")
	cmd.Env = append(os.Environ(), "RUN_INIT=1")
	out, err := cmd.CombinedOutput()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 1 || !strings.Contains(string(out), "refuses") {
		t.Fatalf("init as process %d: %v, %s", cmd.Process.Pid, err, out)
	}
}

func TestCommandLine(t *testing.T) {
	o := commandLine("console=tty1 quiet dunlin.slot=3 root=/dev/x=y\n")
	if _, quiet := o["quiet"]; !quiet || o["dunlin.slot"] != "3" || o["root"] != "/dev/x=y" || len(o) != 4 {
		t.Errorf("%v", o)
	}
}

func TestNameOfTheSerialNumber(t *testing.T) {
	for serial, want := range map[string]string{"00000000DEADBEEF\x00": "dunlin-beef", "": "dunlin", "\x00": "dunlin", "12": "dunlin"} {
		if got := serialName(serial); got != want {
			t.Errorf("serial number %q: %s, want %s", serial, got, want)
		}
	}
}

func TestPartitionNames(t *testing.T) {
	for disk, want := range map[string]string{"mmcblk0": "mmcblk0p4", "sda": "sda4", "vda": "vda4", "nvme0n1": "nvme0n1p4"} {
		if got := partitionName(disk, 4); got != want {
			t.Errorf("%s: %s, want %s", disk, got, want)
		}
	}
}

func TestTheCardIsFoundByItsSignature(t *testing.T) {
	classes, devices := t.TempDir(), t.TempDir()
	mbr := func(name string, id uint32) {
		b := make([]byte, slots.Sector)
		binary.LittleEndian.PutUint32(b[440:], id)
		b[510], b[511] = 0x55, 0xaa
		for dir, content := range map[string][]byte{classes + "/" + name: nil, devices: b} {
			if content == nil {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	mbr("loop0", 7)
	mbr("mmcblk0p1", slots.DiskID)
	if err := os.WriteFile(classes+"/mmcblk0p1/partition", []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := findDisk(classes, devices); got != "" {
		t.Errorf("found %s among others", got)
	}
	mbr("sda", slots.DiskID)
	mbr("mmcblk0", slots.DiskID)
	if got := findDisk(classes, devices); got != "mmcblk0" {
		t.Errorf("found %s, want mmcblk0", got)
	}
}

func TestWriteLengthChangesOneEntry(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before := make([]byte, slots.Sector)
	for i := range before {
		before[i] = byte(i)
	}
	if _, err := f.Write(before); err != nil {
		t.Fatal(err)
	}
	if err := writeLength(f, 4, 0x01020304); err != nil {
		t.Fatal(err)
	}
	after := make([]byte, slots.Sector)
	if _, err := f.ReadAt(after, 0); err != nil {
		t.Fatal(err)
	}
	copy(before[506:], []byte{4, 3, 2, 1})
	if string(after) != string(before) {
		t.Errorf("the sector is\n%x, want\n%x", after, before)
	}
}

func TestTheRingKeepsTheLastLines(t *testing.T) {
	r := newRing(100)
	for range 50 {
		r.Write([]byte("0123456789\n"))
	}
	text := string(r.text())
	if len(text) < 90 || len(text) > 125 || strings.Trim(strings.ReplaceAll(text, "0123456789\n", ""), "") != "" {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestTheRingTakesWholeLines(t *testing.T) {
	r := newRing(1 << 20)
	long := strings.Repeat("x", 10000)
	r.copyFrom(strings.NewReader("one\ntwo\n" + long + "\nend without a newline"))
	if got, want := strings.ReplaceAll(string(r.text()), "\n", ""), "onetwo"+long+"end without a newline"; got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
}

func TestDateOfTheImage(t *testing.T) {
	for text, want := range map[string]int64{"board=rpi\nversion=1\ndate=1795000000\n": 1795000000, "board=rpi\n": 0, "date=today\n": 0} {
		if got := builtAt(text); got.IsZero() != (want == 0) || want != 0 && got.Unix() != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What can be read of a card that takes nothing any more.
func TestSettingsOfADamagedCard(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "etc", "users"), "carol")
	write(t, filepath.Join(dir, "etc", "large"), strings.Repeat("x", fileLimit+1))
	if err := os.Mkdir(filepath.Join(dir, "etc", "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := readSettings(filepath.Join(dir, "etc"), filepath.Join(dir, "gone"))
	if len(files) != 1 || string(files[filepath.Join(dir, "etc", "users")]) != "carol" {
		t.Errorf("%q", files)
	}
}

// A full /data is used, one that cannot be written is not.
func TestWritable(t *testing.T) {
	if err := writable(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := writable("/proc"); err == nil {
		t.Error("what nobody can write to is used")
	}
}
