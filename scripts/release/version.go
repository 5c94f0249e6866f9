package main

import "regexp"

// since is what git describe adds for commits after a tag, and for changes
// without one.
var since = regexp.MustCompile(`(?:-([0-9]+)-g([0-9a-f]+))?(-dirty)?$`)

// stage is what stands before a release: 1.2.0-rc.1, 1.2.0-dev.
var stage = regexp.MustCompile(`-(alpha|beta|rc)\.?([0-9]*)|-dev`)

// packageVersion is a version as packages of a format order it. The third
// commit after 1.2.0, 1.2.0-3-gabc1234, would be one before it, as 1.2.0-rc.1
// is: for deb, rpm and ipk it is 1.2.0+3.gabc1234. Alpine's versions have
// suffixes of a list.
func packageVersion(format, version string) string {
	more := since.FindStringSubmatch(version)
	version = version[:len(version)-len(more[0])]
	if format == "apk" {
		version = stage.ReplaceAllStringFunc(version, func(s string) string {
			if s == "-dev" {
				return "_pre"
			}
			return stage.ReplaceAllString(s, "_$1$2")
		})
		if more[1] != "" {
			version += "_git" + more[1]
		}
		return version
	}
	switch commits, dirty := more[1], more[3] != ""; {
	case commits != "" && dirty:
		return version + "+" + commits + ".g" + more[2] + ".dirty"
	case commits != "":
		return version + "+" + commits + ".g" + more[2]
	case dirty:
		return version + "+dirty"
	}
	return version
}
