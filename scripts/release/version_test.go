package main

import (
	"os/exec"
	"strings"
	"testing"
)

// In the order of their making.
func TestVersionsOfPackages(t *testing.T) {
	before := ""
	for _, v := range []struct{ described, deb, apk string }{
		{"1.2.0-dev", "1.2.0-dev", "1.2.0_pre"},
		{"1.2.0-rc.1", "1.2.0-rc.1", "1.2.0_rc1"},
		{"1.2.0-rc.1-2-g0abc123", "1.2.0-rc.1+2.g0abc123", "1.2.0_rc1_git2"},
		{"1.2.0", "1.2.0", "1.2.0"},
		{"1.2.0-3-gabc1234", "1.2.0+3.gabc1234", "1.2.0_git3"},
		{"1.2.0-3-gabc1234-dirty", "1.2.0+3.gabc1234.dirty", "1.2.0_git3"},
		{"1.2.0-12-gabc1234", "1.2.0+12.gabc1234", "1.2.0_git12"},
		{"1.2.0-dirty", "1.2.0+dirty", "1.2.0"},
		{"1.2.1-beta", "1.2.1-beta", "1.2.1_beta"},
	} {
		deb, apk := packageVersion("deb", v.described), packageVersion("apk", v.described)
		if deb != v.deb || apk != v.apk {
			t.Errorf("%s is %s and %s, want %s and %s", v.described, deb, apk, v.deb, v.apk)
		}
		// nfpm writes what stands before a release with ~, which sorts below nothing.
		deb = strings.Replace(deb, "-", "~", 1)
		if _, err := exec.LookPath("dpkg"); err == nil && before != "" && v.described != "1.2.0-dirty" {
			if err := exec.Command("dpkg", "--compare-versions", before, "lt", deb).Run(); err != nil {
				t.Errorf("to dpkg %s is not older than %s", before, deb)
			}
		}
		before = deb
	}
}
